package sdk

import "github.com/barman-go/barman/sdk/schema"

// Secret is text that is never shown: every way of printing it, JSON included,
// gives "(secret)". Reveal returns the text itself.
type Secret = schema.Secret
