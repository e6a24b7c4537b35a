package cloud

import (
	"strings"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestTagsAreReadInBothForms(t *testing.T) {
	for text, want := range map[string]Tag{
		"key,value": {"key", "value"}, " key , value ": {"key", "value"}, "größe,α β": {"größe", "α β"}, "k,": {"k", ""},
	} {
		for name, parse := range map[string]func(string) (Tag, error){"plain": ParseTag, "quoted": ParseQuotedTag} {
			if got, err := parse(text); err != nil || got != want {
				t.Errorf("%s %q: %v, %v", name, text, got, err)
			}
		}
	}
	if got, err := ParseQuotedTag(`"key","a value"`); err != nil || got != (Tag{"key", "a value"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestTagsThatAStoreWouldRefuseAreRefused(t *testing.T) {
	for _, text := range []string{
		"", "key", ",value", "aws:x,1", "AWS:x,1", "a,b,c", "k,v!", "k\x00,v", "k,v\x01", strings.Repeat("k", 129) + ",v", "k," + strings.Repeat("v", 257), "\xff,v",
	} {
		if got, err := ParseTag(text); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if got, err := ParseQuotedTag(text); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("quoted %q: %v, %v", text, got, err)
		}
	}
	if _, err := ParseQuotedTag(`"a,b",c`); sdk.KindOf(err) != sdk.Invalid {
		t.Error("a key with a comma is taken")
	}
}

func TestAnObjectHasFewTagsAndEachKeyOnce(t *testing.T) {
	var many []Tag
	for _, key := range "abcdefghijk" {
		many = append(many, Tag{Key: string(key)})
	}
	if err := CheckTags(many[:10]); err != nil {
		t.Error(err)
	}
	for _, tags := range [][]Tag{many, {{Key: "a"}, {Key: "a"}}} {
		if err := CheckTags(tags); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%v: %v", tags, err)
		}
	}
}

func FuzzParseTag(f *testing.F) {
	for _, text := range []string{"k,v", `"k,1",v`, `"`, ",", "a\nb,c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (Tag, error){ParseTag, ParseQuotedTag} {
			tag, err := parse(text)
			if err == nil && (tag.Key == "" || strings.ContainsAny(tag.Key+tag.Value, ",\"\x00")) {
				t.Errorf("%q: %+v", text, tag)
			}
		}
	})
}
