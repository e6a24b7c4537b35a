package main

import (
	"strings"

	"github.com/barman-go/barman/sdk"
)

// Azure makes a slash of a backslash in the name of a blob. So it stands there as
// the character that Microsoft's own file services put in the place of one, in
// Unicode's private use area.
const (
	backslash   = `\`
	substituted = "\uf05c"
)

// blobName is the name of the blob with a key.
func blobName(key string) string { return strings.ReplaceAll(key, backslash, substituted) }

// keyOf is the key of a blob.
func keyOf(name string) string { return strings.ReplaceAll(name, substituted, backslash) }

// canStore refuses a key that would be read as another.
func canStore(key string) error {
	if strings.Contains(key, substituted) {
		return sdk.Errorf(sdk.Invalid, "Azure cannot keep a name with the character U+F05C in it")
	}
	return nil
}
