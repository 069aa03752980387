"""Pictures of the station in an S3-compatible store of the plant."""
