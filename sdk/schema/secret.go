package schema

// Secret is text that is never shown: every way of printing it, JSON included,
// gives "(secret)".
type Secret string

const masked = "(secret)"

// String returns "(secret)".
func (Secret) String() string { return masked }

// GoString returns "(secret)".
func (Secret) GoString() string { return masked }

// MarshalText returns "(secret)", so that JSON and other encoders show nothing.
func (Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// Reveal returns the text itself, for the one place that needs it.
func (s Secret) Reveal() string { return string(s) }
