package main

import (
	"bytes"
	"encoding/json"
	"io"
	"regexp"
	"strings"
)

// redacted stands for a password in whatever is printed or logged, as Barman in
// Python does it.
const redacted = "*REDACTED*"

var (
	// secretValue is a password in a connection string or in the query of a URI. One
	// that is masked already is left alone.
	secretValue = regexp.MustCompile(`(?i)(password|oauth_client_secret)(\s*=\s*)('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s'"&(*][^\s'"&]*)`)
	// secretInURI is the password of a URI's user.
	secretInURI = regexp.MustCompile(`(://[^\s:/@?#'"]*:)([^\s/@'"(*][^\s/@'"]*)(@)`)
)

// redact masks the passwords in a text: those of connection strings and of URIs.
func redact(text string) string {
	if !mayHoldSecrets(text) {
		return text
	}
	text = secretValue.ReplaceAllString(text, "${1}${2}"+redacted)
	return secretInURI.ReplaceAllString(text, "${1}"+redacted+"${3}")
}

// mayHoldSecrets tells quickly what holds none: most texts. The keywords of libpq
// are in lower case, environment variables in upper case.
func mayHoldSecrets(text string) bool {
	for _, sign := range []string{"://", "assword", "ASSWORD", "client_secret", "CLIENT_SECRET"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// redactJSON masks the passwords in the strings of a JSON document.
func redactJSON(document []byte) ([]byte, error) {
	if !mayHoldSecrets(string(document)) {
		return document, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(redactValue(value))
	return b.Bytes(), err
}

func redactValue(value any) any {
	switch v := value.(type) {
	case string:
		return redact(v)
	case []any:
		for i := range v {
			v[i] = redactValue(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = redactValue(v[key])
		}
	}
	return value
}

// redactor masks the passwords in what is written to w. Every line comes in one
// piece, as from a log.
type redactor struct{ w io.Writer }

func (r redactor) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.w, redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
