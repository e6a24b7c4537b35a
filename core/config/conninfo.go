package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/barman-go/barman/sdk/schema"
)

// parameter is a keyword of a connection string and the place of its value.
type parameter struct {
	keyword    string
	start, end int
	value      string
}

// checkConninfo tells whether libpq could read a connection string
// (PostgreSQL manual, section 34.1.1). Its errors do not repeat the string.
func checkConninfo(conninfo string) error {
	if isURI(conninfo) {
		if _, err := url.Parse(conninfo); err != nil {
			return errors.New("the connection URI cannot be parsed; percent-encode special characters")
		}
		return nil
	}
	parameters, err := parseConninfo(conninfo)
	if err == nil && len(parameters) == 0 {
		return errors.New("the connection string is empty")
	}
	return err
}

func isURI(conninfo string) bool {
	return strings.HasPrefix(conninfo, "postgres://") || strings.HasPrefix(conninfo, "postgresql://")
}

// parseConninfo splits a keyword/value connection string. Values may be in
// single quotes; a backslash protects the character after it.
func parseConninfo(text string) ([]parameter, error) {
	var parameters []parameter
	i := 0
	skip := func() {
		for i < len(text) && isSpace(text[i]) {
			i++
		}
	}
	for skip(); i < len(text); skip() {
		begin := i
		for i < len(text) && text[i] != '=' && !isSpace(text[i]) {
			i++
		}
		p := parameter{keyword: text[begin:i]}
		skip()
		if i == len(text) || text[i] != '=' {
			return parameters, fmt.Errorf("no \"=\" after the keyword number %d; write keyword=value pairs or a URI", len(parameters)+1)
		}
		if p.keyword == "" || strings.ContainsAny(p.keyword, `'\`) {
			return parameters, fmt.Errorf("no keyword before the \"=\" number %d", len(parameters)+1)
		}
		i++
		skip()
		p.start = i
		var closed bool
		p.value, i, closed = scanValue(text, i)
		if !closed {
			return parameters, fmt.Errorf("the quoted value of %q does not end", p.keyword)
		}
		p.end = i
		parameters = append(parameters, p)
	}
	return parameters, nil
}

// scanValue reads the value that begins at i and returns it with the position
// after it; closed is false when a quote is missing.
func scanValue(text string, i int) (value string, end int, closed bool) {
	var b strings.Builder
	quoted := i < len(text) && text[i] == '\''
	if quoted {
		i++
	}
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\'':
			return b.String(), i + 1, true
		case !quoted && isSpace(c):
			return b.String(), i, true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i, !quoted
}

func isSpace(c byte) bool { return strings.IndexByte(" \t\n\v\f\r", c) >= 0 }

func isSecretKeyword(keyword string) bool {
	switch strings.ToLower(keyword) {
	case "password", "sslpassword", "oauth_client_secret":
		return true
	}
	return false
}

// HasPassword tells whether a connection string holds a password.
func HasPassword(conninfo schema.Secret) bool {
	return MaskConninfo(conninfo) != conninfo.Reveal()
}

// MaskConninfo returns a connection string for people: passwords give way to
// "(secret)", and a string that cannot be read is not shown at all.
func MaskConninfo(conninfo schema.Secret) string {
	text := conninfo.Reveal()
	if isURI(text) {
		return maskURI(text)
	}
	parameters, err := parseConninfo(text)
	if err != nil {
		return conninfo.String()
	}
	var b strings.Builder
	copied := 0
	for _, p := range parameters {
		if isSecretKeyword(p.keyword) {
			b.WriteString(text[copied:p.start] + conninfo.String())
			copied = p.end
			if copied < len(text) && !isSpace(text[copied]) {
				b.WriteByte(' ') // a quoted value may end without a space, a mask may not
			}
		}
	}
	return b.String() + text[copied:]
}

func maskURI(text string) string {
	hidden := schema.Secret(text).String()
	scheme, rest, _ := strings.Cut(text, "://")
	authority, query, hasQuery := strings.Cut(rest, "?")
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		if user, _, found := strings.Cut(authority[:at], ":"); found {
			authority = user + ":" + hidden + authority[at:]
		}
	}
	if !hasQuery {
		return scheme + "://" + authority
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		keyword, _, found := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(keyword); found && (err != nil || isSecretKeyword(plain)) {
			pairs[i] = keyword + "=" + hidden
		}
	}
	return scheme + "://" + authority + "?" + strings.Join(pairs, "&")
}
