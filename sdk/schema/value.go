package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

func (t Type) known() bool {
	switch t {
	case String, Bool, Int, Number, Duration, Size, List, Map:
		return true
	}
	return false
}

// Expects says in words what a value of the type looks like.
func (t Type) Expects() string {
	switch t {
	case String:
		return "a string"
	case Bool:
		return "true or false"
	case Int:
		return "a whole number"
	case Number:
		return "a number"
	case Duration:
		return `a duration such as "30s", "5m" or "1h30m"`
	case Size:
		return `a size such as "16MiB", "1GB" or a number of bytes`
	case List:
		return "a list of strings"
	case Map:
		return "a map of strings"
	}
	return "a value of the unknown type " + strconv.Quote(string(t))
}

// ParseDuration reads a length of time with units, as in "30s" or "1h30m".
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not %s", text, Duration.Expects())
	}
	return d, nil
}

// parseText reads a value in the form in which a default is written. The
// result is a string, bool, int64, float64, time.Duration, ByteSize, []string
// or map[string]string.
func (t Type) parseText(text string) (any, error) {
	switch t {
	case String:
		return text, nil
	case Duration:
		return ParseDuration(text)
	case Size:
		return ParseByteSize(text)
	}
	return t.parseJSON([]byte(text))
}

// parseJSON reads a value as it is sent; the result is as for parseText.
func (t Type) parseJSON(raw []byte) (any, error) {
	var (
		value any
		err   error
	)
	switch t {
	case String, Duration:
		value, err = parseJSONString(t, raw)
	case Bool:
		value, err = unmarshal[bool](raw)
	case Int:
		value, err = strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, 64)
	case Number:
		value, err = unmarshal[float64](raw)
	case Size:
		value, err = parseJSONSize(raw)
	case List:
		value, err = parseJSONList(raw)
	case Map:
		value, err = parseJSONMap(raw)
	default:
		err = errors.New("unknown type")
	}
	if err != nil {
		return nil, fmt.Errorf("the value must be %s", t.Expects())
	}
	return value, nil
}

func parseJSONString(t Type, raw []byte) (any, error) {
	text, err := unmarshal[string](raw)
	if err != nil || t == String {
		return text, err
	}
	return ParseDuration(text)
}

func parseJSONSize(raw []byte) (ByteSize, error) {
	if text, err := unmarshal[string](raw); err == nil {
		return ParseByteSize(text)
	}
	return ParseByteSize(string(bytes.TrimSpace(raw)))
}

func parseJSONList(raw []byte) ([]string, error) {
	items, err := unmarshal[[]*string](raw)
	if err != nil {
		return nil, err
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		if item == nil {
			return nil, errors.New("null in a list")
		}
		list = append(list, *item)
	}
	return list, nil
}

func parseJSONMap(raw []byte) (map[string]string, error) {
	items, err := unmarshal[map[string]*string](raw)
	if err != nil {
		return nil, err
	}
	entries := make(map[string]string, len(items))
	for key, item := range items {
		if item == nil {
			return nil, errors.New("null in a map")
		}
		entries[key] = *item
	}
	return entries, nil
}

// unmarshal is json.Unmarshal that takes null for a mistake.
func unmarshal[T any](raw []byte) (T, error) {
	var value *T
	if err := json.Unmarshal(raw, &value); err != nil {
		return *new(T), err
	}
	if value == nil {
		return *new(T), errors.New("null")
	}
	if f, ok := any(*value).(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return *new(T), errors.New("not finite")
	}
	return *value, nil
}
