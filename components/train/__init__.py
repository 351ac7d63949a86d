"""Step 7, once a family: labelled rows become a model, its ONNX graph and its scores."""
