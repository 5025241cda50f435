"""ImageNet, its variants, and the ways in which both lie on disks."""
