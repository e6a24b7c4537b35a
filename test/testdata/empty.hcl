# Nothing but defaults: what "make generate" describes.
