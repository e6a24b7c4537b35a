package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const guide = "../docs/plugins.md"

// fence is a block of code with the comment before it that names its file.
var fence = regexp.MustCompile("(?ms)(?:^<!-- (\\S+) -->\n)?^```(go|hcl)\n(.*?)^```$")

func TestTheCodeOfThePluginGuideIsThatOfTheExample(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	blocks := fence.FindAllStringSubmatch(string(text), -1)
	if all := strings.Count(string(text), "\n```go\n") + strings.Count(string(text), "\n```hcl\n"); len(blocks) != all || all == 0 {
		t.Fatalf("%d blocks of code are understood, there are %d", len(blocks), all)
	}
	for _, block := range blocks {
		file, code := block[1], block[3]
		if file == "" {
			t.Errorf("no comment <!-- file --> stands right before this code:\n%s", code)
			continue
		}
		source, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(string(source), code) {
			t.Errorf("this is not in %s:\n%s", file, code)
		}
	}
}

func TestThePluginGuideNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	directories := map[string]string{"sdk": "../sdk", "serve": "../sdk/serve", "schema": "../sdk/schema", "sdktest": "../sdk/sdktest"}
	for _, name := range regexp.MustCompile("`(sdk|serve|schema|sdktest)\\.([A-Z]\\w*)`").FindAllStringSubmatch(string(text), -1) {
		declared := regexp.MustCompile(`(?m)^(?:func|type) ` + name[2] + `\b|^\t` + name[2] + `$|^\t` + name[2] + ` ErrorKind = iota$`)
		if !declared.MatchString(packageSource(t, directories[name[1]])) {
			t.Errorf("there is no %s", name[0])
		}
	}
	for _, link := range regexp.MustCompile(`\]\((\.\.?/[^)#]+|[a-z-]+\.md)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join("../docs", link[1])); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}

func packageSource(t *testing.T, directory string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
