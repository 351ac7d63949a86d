"""The image every pipeline step runs in: the tag of this release, never `latest`; a cluster's overlay pins its digest."""

TRAINING_IMAGE = "presage/training:0.1.0"
