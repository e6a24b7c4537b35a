package delivery

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Algorithm is one of those whose checksums a delivery may have.
type Algorithm string

const (
	// SHA256 is what Barman 3.12 and later send.
	SHA256 Algorithm = "SHA-256"
	// MD5 is what earlier ones send, and the only one that they accept.
	MD5 Algorithm = "MD5"
)

// New returns a hash of the algorithm.
func (a Algorithm) New() hash.Hash {
	if a == MD5 {
		return md5.New()
	}
	return sha256.New()
}

// digits is the length of a sum.
func (a Algorithm) digits() int { return hex.EncodedLen(a.New().Size()) }

// list is the name of the member that lists the sums.
func (a Algorithm) list() string {
	if a == MD5 {
		return "MD5SUMS"
	}
	return "SHA256SUMS"
}

func algorithmOf(list string) Algorithm {
	if list == MD5.list() {
		return MD5
	}
	return SHA256
}

// Sums are the checksums of a delivery.
type Sums struct {
	Algorithm Algorithm
	// ByName has the sum of every file, hexadecimal in small letters.
	ByName map[string]string
}

// parseSums reads a list in the format of sha256sum and md5sum.
func parseSums(algorithm Algorithm, text string) (Sums, error) {
	s := Sums{algorithm, map[string]string{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		sum, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		// The second character tells binary from text, which are the same here.
		name, marked := strings.CutPrefix(rest, "*")
		if !marked {
			name, marked = strings.CutPrefix(rest, " ")
		}
		name = strings.TrimPrefix(name, "./")
		if !marked || name == "" || len(sum) != algorithm.digits() || strings.Trim(sum, "0123456789abcdefABCDEF") != "" {
			return Sums{}, sdk.Errorf(sdk.Invalid, "line %d of the delivered list of %s checksums is not one", number, algorithm)
		}
		if _, twice := s.ByName[name]; twice {
			return Sums{}, sdk.Errorf(sdk.Invalid, "the delivered list of checksums has %q twice", name)
		}
		s.ByName[name] = strings.ToLower(sum)
	}
	return s, nil
}
