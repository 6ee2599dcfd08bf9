"""Parts of bindings/generate.py: the model of the public headers and one module per kind of output."""
