"""Process of the upload of pictures: `python -m edge.s3.process`, with a pipe from the station as standard input."""

from edge.forwarding.forwarder import serve
from edge.s3.target import PictureTarget

if __name__ == "__main__":
    serve(PictureTarget)
