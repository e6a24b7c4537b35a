package main

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"
	"testing"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
)

func TestASingleStreamIsReadByThoseThatKnowNoMoreThanOne(t *testing.T) {
	one := map[string]func(io.Reader) (io.Reader, error){
		codec.Gzip: func(r io.Reader) (io.Reader, error) {
			z, err := gzip.NewReader(r)
			if err != nil {
				return nil, err
			}
			z.Multistream(false)
			if len(z.Extra) > 0 {
				t.Error("there is an extra field, which Python's tarfile does not read")
			}
			return z, nil
		},
		codec.Bzip2: func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil },
	}
	for name, open := range one {
		c, err := New(&Config{Codec: name, Level: "1", SingleStream: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2*chunkSize + 12345} {
			want := bytes.Repeat([]byte("0123456789abcdef\n"), size/17+1)[:size]
			var packed, again bytes.Buffer
			if err := c.Encode(t.Context(), sdk.Object{Name: "x"}, &packed, bytes.NewReader(want)); err != nil {
				t.Fatal(err)
			}
			whole := packed.Bytes()
			behind := bytes.NewReader(whole)
			r, err := open(behind)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) || behind.Len() > 0 {
				t.Errorf("%s, %d bytes: %d came, %d were left, %v", name, size, len(got), behind.Len(), err)
			}
			if name == codec.Bzip2 && bytes.Count(whole, []byte("BZh")) != 1 {
				t.Errorf("%s, %d bytes: more than one stream", name, size)
			}
			if err := c.Decode(t.Context(), sdk.Object{Name: "x"}, &again, bytes.NewReader(whole)); err != nil || !bytes.Equal(again.Bytes(), want) {
				t.Errorf("%s, %d bytes: decoding gives %d, %v", name, size, again.Len(), err)
			}
			if err := c.Decode(t.Context(), sdk.Object{Name: "x"}, io.Discard, bytes.NewReader(whole[:len(whole)-3])); sdk.KindOf(err) != sdk.Corrupt {
				t.Errorf("%s, %d bytes, cut: %v", name, size, err)
			}
		}
	}
}
