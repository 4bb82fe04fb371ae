"""Private interfaces of other libraries that imgfeat cannot do without, all in one place."""
