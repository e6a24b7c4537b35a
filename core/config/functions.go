package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// maxReferencedFile bounds what file() reads: it is for keys and passwords.
const maxReferencedFile = 1 << 20

// evalContext returns what expressions may use outside of servers.
func (e Environment) evalContext() *hcl.EvalContext {
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{},
		Functions: map[string]function.Function{
			"env":       textFunction("name", e.env),
			"file":      textFunction("path", e.file),
			"format":    stdlib.FormatFunc,
			"join":      stdlib.JoinFunc,
			"lower":     stdlib.LowerFunc,
			"replace":   stdlib.ReplaceFunc,
			"split":     stdlib.SplitFunc,
			"trimspace": stdlib.TrimSpaceFunc,
			"upper":     stdlib.UpperFunc,
		},
	}
}

// forServer returns a context that knows server.name as well.
func forServer(parent *hcl.EvalContext, name string) *hcl.EvalContext {
	ctx := parent.NewChild()
	ctx.Variables = map[string]cty.Value{"server": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(name)})}
	return ctx
}

func textFunction(parameter string, call func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: parameter, Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := call(args[0].AsString())
			if err != nil {
				return cty.UnknownVal(cty.String), function.NewArgError(0, err)
			}
			return cty.StringVal(text), nil
		},
	})
}

func (e Environment) env(name string) (string, error) {
	text, set := e.LookupEnv(name)
	if !set {
		return "", fmt.Errorf("the environment variable %s is not set", name)
	}
	return text, nil
}

// file returns the content of a file without the newlines at its end.
func (e Environment) file(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is not an absolute path", path)
	}
	content, err := readFile(path, maxReferencedFile)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(content), "\r\n"), nil
}

// readFile reads a regular file of bounded size. Its errors name the path.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > limit:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return os.ReadFile(path)
}
