package sdktest

import "testing"

func TestRot13PassesEveryCheck(t *testing.T) {
	Transform(t, Binary(t, "testdata/good/rot13"), nil, Unframed())
}

func TestGzipPassesEveryCheck(t *testing.T) {
	Transform(t, Binary(t, "testdata/good/gzip"), nil, LargestObject(1<<30))
}
