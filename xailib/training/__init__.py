"""Training of the small networks that come with the project: vanilla, adversarially, with AdvProp."""
