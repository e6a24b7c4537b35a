package catalogue

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/barman-go/barman/sdk/codec"
)

func knownCompression(name string) bool {
	return name == "" || name == codec.Custom || codec.Known(name)
}

// Compression returns the name of the algorithm that made a stored WAL file with
// this beginning, or nothing. codec.MaxCustomMagic bytes are enough.
func (s *Server) Compression(beginning []byte) string {
	if magic := s.layout.CustomMagic; len(magic) > 0 && bytes.HasPrefix(beginning, magic) {
		return codec.Custom
	}
	return codec.Detect(beginning)
}

// detectEncryption recognises an OpenPGP message (RFC 9580, sections 4.2, 5.1
// and 5.3) by its first packet: a session key, for a public key or a passphrase.
func detectEncryption(beginning []byte) string {
	if bytes.HasPrefix(beginning, []byte("-----BEGIN PGP MESSAGE")) {
		return "gpg"
	}
	if len(beginning) < 4 {
		return ""
	}
	var version byte
	switch tag := beginning[0]; tag {
	case 0x84, 0xc1, 0x8c, 0xc3: // one-byte length
		version = beginning[2]
	case 0x85, 0x8d: // two-byte length
		version = beginning[3]
	default:
		return ""
	}
	if version >= 3 && version <= 6 {
		return "gpg"
	}
	return ""
}

// identify reads the beginning of a stored WAL file. What is inside an
// encrypted file cannot be told.
func (s *Server) identify(f *os.File) (compression, encryption string, err error) {
	beginning := make([]byte, codec.MaxCustomMagic)
	n, err := io.ReadFull(f, beginning)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", "", err
	}
	if encryption = detectEncryption(beginning[:n]); encryption != "" {
		return "", encryption, nil
	}
	return s.Compression(beginning[:n]), "", nil
}
