package config

import (
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/barman-go/barman/sdk/schema"
)

// readAttribute evaluates an attribute and brings it to its type; null gives no
// value. No message repeats a value that might be secret.
func readAttribute(attribute *hcl.Attribute, a schema.Attribute, ctx *hcl.EvalContext) (value, hcl.Diagnostics) {
	v := value{whole: attribute.Range, expr: attribute.Expr}
	got, diags := attribute.Expr.Value(ctx)
	if diags.HasErrors() {
		v.broken = true
		return v, diags
	}
	if got.IsNull() {
		return v, diags
	}
	raw, err := toJSON(a.Type, got)
	if err != nil {
		v.broken = true
		detail := fmt.Sprintf("%q must be %s: %v.", a.Name, a.Type.Expects(), err)
		return v, append(diags, mistake(attribute.Expr.Range(), "Wrong value", detail))
	}
	v.raw = raw
	return v, diags
}

// isLiteral tells whether a value stands in plain sight: its expression reads no
// variable and calls no function.
func (v value) isLiteral() bool {
	_, diags := v.expr.Value(nil)
	return !diags.HasErrors()
}

func toJSON(t schema.Type, got cty.Value) (json.RawMessage, error) {
	if !got.IsWhollyKnown() {
		return nil, fmt.Errorf("the value is not known")
	}
	switch t {
	case schema.String:
		return encode(asString(got))
	case schema.Bool:
		v, err := as(got, cty.Bool)
		if err != nil {
			return nil, err
		}
		return encode(v.True(), nil)
	case schema.Int, schema.Number:
		return number(t, got)
	case schema.Duration:
		text, err := asString(got)
		if err != nil {
			return nil, err
		}
		if _, err := schema.ParseDuration(text); err != nil {
			return nil, fmt.Errorf("this is %q", text)
		}
		return encode(text, nil)
	case schema.Size:
		text, err := asString(got)
		if err != nil {
			return nil, err
		}
		size, err := schema.ParseByteSize(text)
		if err != nil {
			return nil, fmt.Errorf("this is %q", text)
		}
		return encode(int64(size), nil)
	case schema.List:
		return list(got)
	case schema.Map:
		return entries(got)
	}
	return nil, fmt.Errorf("this version of barman does not know the type %q", string(t))
}

func encode(v any, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// as converts a value the way HCL does: "3" is a number where a number is
// wanted, since env() gives strings.
func as(got cty.Value, want cty.Type) (cty.Value, error) {
	v, err := convert.Convert(got, want)
	if err != nil || v.IsNull() {
		return v, fmt.Errorf("this is %s", describe(got))
	}
	return v, nil
}

func asString(got cty.Value) (string, error) {
	v, err := as(got, cty.String)
	if err != nil {
		return "", err
	}
	return v.AsString(), nil
}

func number(t schema.Type, got cty.Value) (json.RawMessage, error) {
	v, err := as(got, cty.Number)
	if err != nil {
		return nil, err
	}
	f := v.AsBigFloat()
	if t == schema.Int {
		n, accuracy := f.Int64()
		if accuracy != big.Exact {
			return nil, fmt.Errorf("it has a fraction or is out of range")
		}
		return encode(n, nil)
	}
	n, _ := f.Float64()
	return encode(n, nil)
}

func list(got cty.Value) (json.RawMessage, error) {
	v, err := as(got, cty.List(cty.String))
	if err != nil {
		return nil, err
	}
	items := []string{}
	for _, item := range v.AsValueSlice() {
		if item.IsNull() {
			return nil, fmt.Errorf("one of its items is null")
		}
		items = append(items, item.AsString())
	}
	return encode(items, nil)
}

func entries(got cty.Value) (json.RawMessage, error) {
	v, err := as(got, cty.Map(cty.String))
	if err != nil {
		return nil, err
	}
	items := map[string]string{}
	for key, item := range v.AsValueMap() {
		if item.IsNull() {
			return nil, fmt.Errorf("the value of %q is null", key)
		}
		items[key] = item.AsString()
	}
	return encode(items, nil)
}

// describe names the type of a value in words.
func describe(got cty.Value) string {
	t := got.Type()
	switch {
	case got.IsNull():
		return "null"
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "a boolean"
	case t.IsTupleType(), t.IsListType(), t.IsSetType():
		return "a list"
	case t.IsObjectType(), t.IsMapType():
		return "a map"
	}
	return t.FriendlyName()
}
