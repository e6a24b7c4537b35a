package catalogue

import (
	"fmt"
	"math"
	"strings"
)

// labelField is backup_label, a string literal. A label that Barman copied
// from another host is a literal within a literal, and is read as what it was.
func labelField() infoField {
	return infoField{key: "backup_label",
		parse: func(b *Backup, value string) error {
			label, err := parseText(value)
			if err != nil {
				return err
			}
			if strings.HasPrefix(label, "'") || strings.HasPrefix(label, `"`) {
				if inner, err := parseText(label); err == nil {
					label = inner
				}
			}
			b.Label = label
			return nil
		},
		format: func(b *Backup) (string, error) {
			if b.Label == "" {
				return nullText, nil
			}
			return formatLiteral(b.Label)
		}}
}

func parseText(value string) (string, error) {
	v, err := parseLiteral(value)
	if err != nil {
		return "", err
	}
	s, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("%q is not a text in quotes", clip(value))
	}
	return s, nil
}

func dictField(key string, at func(*Backup) *Dict) infoField {
	return infoField{key: key,
		parse: func(b *Backup, value string) error {
			v, err := parseLiteral(value)
			if err != nil {
				return err
			}
			d, ok := v.(Dict)
			if !ok {
				return fmt.Errorf("%q is not a dictionary", clip(value))
			}
			*at(b) = d
			return nil
		},
		format: func(b *Backup) (string, error) {
			if len(*at(b)) == 0 {
				return nullText, nil
			}
			return formatLiteral(*at(b))
		}}
}

func includedFilesField() infoField {
	return infoField{key: "included_files",
		parse: func(b *Backup, value string) error {
			items, err := parseSequence(value)
			if err != nil {
				return err
			}
			b.IncludedFiles = nil
			for _, item := range items {
				file, ok := item.(string)
				if !ok {
					return fmt.Errorf("%q is not a list of paths", clip(value))
				}
				b.IncludedFiles = append(b.IncludedFiles, file)
			}
			return nil
		},
		format: func(b *Backup) (string, error) {
			if len(b.IncludedFiles) == 0 {
				return nullText, nil
			}
			list := make(List, len(b.IncludedFiles))
			for i, file := range b.IncludedFiles {
				list[i] = file
			}
			return formatLiteral(list)
		}}
}

// tablespacesField is a list of tuples of name, OID and location.
func tablespacesField() infoField {
	return infoField{key: "tablespaces",
		parse: func(b *Backup, value string) error {
			items, err := parseSequence(value)
			if err != nil {
				return err
			}
			b.Tablespaces = make([]Tablespace, 0, len(items))
			seen := map[uint32]bool{}
			for _, item := range items {
				ts, ok := tablespaceOf(item)
				if !ok {
					return fmt.Errorf("%q is not a list of tablespaces: expected [('name', oid, 'location'), …]", clip(value))
				}
				if seen[ts.OID] {
					return fmt.Errorf("tablespace %d is listed twice", ts.OID)
				}
				seen[ts.OID] = true
				b.Tablespaces = append(b.Tablespaces, ts)
			}
			return nil
		},
		format: func(b *Backup) (string, error) {
			if b.Tablespaces == nil {
				return nullText, nil
			}
			list := make(List, len(b.Tablespaces))
			for i, ts := range b.Tablespaces {
				list[i] = Tuple{ts.Name, int64(ts.OID), ts.Location}
			}
			return formatLiteral(list)
		}}
}

func tablespaceOf(item any) (Tablespace, bool) {
	columns, ok := sequence(item)
	if !ok || len(columns) != 3 {
		return Tablespace{}, false
	}
	name, okName := columns[0].(string)
	oid, okOID := columns[1].(int64)
	location, okLocation := columns[2].(string)
	if !okName || !okOID || !okLocation || oid <= 0 || oid > math.MaxUint32 {
		return Tablespace{}, false
	}
	return Tablespace{Name: name, OID: uint32(oid), Location: location}, true
}

func parseSequence(value string) ([]any, error) {
	v, err := parseLiteral(value)
	if err != nil {
		return nil, err
	}
	items, ok := sequence(v)
	if !ok {
		return nil, fmt.Errorf("%q is not a list", clip(value))
	}
	return items, nil
}

func sequence(v any) ([]any, bool) {
	switch v := v.(type) {
	case List:
		return v, true
	case Tuple:
		return v, true
	}
	return nil, false
}
