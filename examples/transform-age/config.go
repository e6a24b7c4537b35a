package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the transform "age".
type Config struct {
	Recipients   []string `hcl:"recipients" doc:"Public keys (age1…) to encrypt to. Each of their identities alone can decrypt."`
	IdentityFile string   `hcl:"identity_file,optional" doc:"File with the identities (AGE-SECRET-KEY-1…) to decrypt with; needed only to restore."`
}

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	_, found := c.recipients()
	if c.IdentityFile != "" && !filepath.IsAbs(c.IdentityFile) {
		found = append(found, schema.Diagnostic{
			Path: "identity_file", Summary: "Path is not absolute",
			Detail: fmt.Sprintf("%q would depend on the directory in which barman is started; write it from the root on.", c.IdentityFile),
		})
	}
	return found
}

func (c *Config) recipients() (parsed []age.Recipient, found schema.Diagnostics) {
	complain := func(summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: "recipients", Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if len(c.Recipients) == 0 {
		complain("No recipients", "Name at least one public key; age-keygen makes one.")
	}
	quantum := 0
	for i, text := range c.Recipients {
		r, err := parseRecipient(text)
		switch {
		case strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY-"):
			// It is not shown: it would end up in logs.
			complain("Secret key", "Recipient %d is a secret key. Name its public key instead (age-keygen -y prints it), and treat this secret as known.", i+1)
		case err != nil:
			complain("Invalid recipient", "Recipient %d: %v.", i+1, err)
		}
		if strings.HasPrefix(text, quantumPrefix) {
			quantum++
		}
		parsed = append(parsed, r)
	}
	if quantum > 0 && quantum < len(c.Recipients) {
		complain("Mixed recipients", "%d of %d recipients are post-quantum keys (%s…). The others would undo their protection: use one kind.", quantum, len(c.Recipients), quantumPrefix)
	}
	return parsed, found
}

const quantumPrefix = "age1pq1"

func parseRecipient(text string) (age.Recipient, error) {
	switch {
	case strings.HasPrefix(text, quantumPrefix):
		return age.ParseHybridRecipient(text)
	case strings.HasPrefix(text, "age1"):
		return age.ParseX25519Recipient(text)
	}
	return nil, fmt.Errorf("%q does not begin with age1", text)
}
