"""Networks: backbones by name, and the heads objectives put on top of them."""
