"""Training of defect segmentation networks: data, networks, losses, metrics, the training loop, recipes.

"The paper" is the publication that proposes this training: a Context Aggregation Network, a loss that moves between
classification and segmentation, and guided-crop augmentation, evaluated on Magnetic Tile and Severstal. Its abstract
begins "As processing power becomes more affordable, computer vision tends to push towards controlling complex
processes in the industry."
"""
