package catalogue

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLiteralsAreReadAndWrittenAsPythonDoes(t *testing.T) {
	for _, c := range []struct {
		text string
		want any
	}{
		{"None", nil}, {"True", true}, {"False", false}, {"0", int64(0)}, {"-12", int64(-12)}, {"9223372036854775807", int64(math.MaxInt64)},
		{"1.5", 1.5}, {"0.0", 0.0}, {"1e-05", 1e-05}, {"0.0001", 0.0001}, {"1e+16", 1e16}, {"1000000000000000.0", 1e15}, {"1.200988", 1.200988}, {"1.5e+300", 1.5e300},
		{"''", ""}, {`'a'`, "a"}, {`"it's"`, "it's"}, {`'say "x"'`, `say "x"`}, {`'it\'s "x"'`, `it's "x"`},
		{`'a\nb\tc\rd\\e'`, "a\nb\tc\rd\\e"}, {`'\x00\x1f\x7f'`, "\x00\x1f\x7f"}, {`'é漢😀'`, "é漢😀"}, {`'\xa0\u200b\U000e0001'`, "\u00a0\u200b\U000e0001"},
		{`'\udcff'`, "\xff"},
		{"[]", List(nil)}, {"()", Tuple(nil)}, {"{}", Dict{}}, {"(1,)", Tuple{int64(1)}}, {"[1, 'a']", List{int64(1), "a"}},
		{`[('tbs1', 16384, '/srv/ts1'), ("odd '2", 16385, '/srv/ts 2')]`, List{Tuple{"tbs1", int64(16384), "/srv/ts1"}, Tuple{"odd '2", int64(16385), "/srv/ts 2"}}},
		{"{'b': {'x': None}, 'a': 1.0, 3: []}", Dict{{"b", Dict{{"x", nil}}}, {"a", 1.0}, {int64(3), List(nil)}}},
	} {
		got, err := parseLiteral(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", c.text, d)
		}
		if again, err := formatLiteral(got); err != nil || again != c.text {
			t.Errorf("%s is written as %s, %v", c.text, again, err)
		}
	}
}

func TestOtherSpellingsOfLiteralsAreUnderstood(t *testing.T) {
	for text, want := range map[string]any{
		`u'x'`: "x", `"x"`: "x", ` [ 1 , 2 , ] `: List{int64(1), int64(2)}, `+1`: int64(1), `1E3`: 1000.0, `.5`: 0.5, `1.`: 1.0,
		`'\101\0\7'`: "A\x00\x07", `'\a\b\f\v'`: "\a\b\f\v", `'\u0041\U00000042'`: "AB", "{'a':1,}": Dict{{"a", int64(1)}}, `(1,2,)`: Tuple{int64(1), int64(2)},
	} {
		got, err := parseLiteral(text)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
	}
}

func TestWhatIsNoLiteralIsRefused(t *testing.T) {
	for _, text := range []string{
		"", " ", "[", "]", "[1", "[1,", "[1 2]", "[,]", "(1)", "(,)", "{", "{1}", "{1:}", "{1:2", "{1:2 3:4}", "{,}", "{'a': 1, 'a': 2}", "{None: 1}", "{[]: 1}",
		"'", `"`, "'a", `'a"`, `'\`, `'\x4'`, `'\u12'`, `'\N{BULLET}'`, `'\q'`, `'\ud800'`, `'\U00110000'`, "'a' 'b'", "'''a'''", "'a'b", "u", "b'x'", "x", "none", "nan", "inf", "Infinity",
		"1e999", "9223372036854775808", "0x10", "1_000", "--1", "+-1", "-", ".", "e5", "1e", "1+2", "1L", "__import__('os')", "[1].append", "1,2", "1 2", "True1",
		strings.Repeat("[", 100000), strings.Repeat("(", 50) + strings.Repeat(")", 50), strings.Repeat("{1:", 100000),
	} {
		if got, err := parseLiteral(text); err == nil {
			t.Errorf("%.60q is read as %#v", text, got)
		}
	}
}

func TestWhatIsNoPythonValueCannotBeWritten(t *testing.T) {
	deep := any(List(nil))
	for range maxLiteralDepth + 1 {
		deep = List{deep}
	}
	for _, v := range []any{math.Inf(1), math.NaN(), struct{}{}, []string{"a"}, List{math.NaN()}, Dict{{"a", Tuple{math.NaN()}}}, Dict{{struct{}{}, nil}}, deep} {
		if text, err := formatLiteral(v); err == nil {
			t.Errorf("%T is written as %.60s", v, text)
		}
	}
}

func TestDictGivesNumbers(t *testing.T) {
	d := Dict{{"f", 1.5}, {"i", int64(2)}, {"s", "x"}}
	if f, ok := d.Float("f"); !ok || f != 1.5 {
		t.Error(f, ok)
	}
	if f, ok := d.Float("i"); !ok || f != 2 {
		t.Error(f, ok)
	}
	for _, key := range []string{"s", "missing"} {
		if f, ok := d.Float(key); ok {
			t.Error(key, f)
		}
	}
}

func FuzzLiteral(f *testing.F) {
	for _, s := range []string{"None", "[('a', 1, '/x')]", "{'copy_time': 1.2, 'items': {'pgdata': 0.5}}", `"it's\n\x00\udcff"`, "(1,)", "1e-05", "-0.0", "[[[[]]]]", "u'x'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseLiteral(s)
		if err != nil {
			return
		}
		text, err := formatLiteral(v)
		if err != nil {
			t.Fatalf("%q is read but not written: %v", s, err)
		}
		again, err := parseLiteral(text)
		if err != nil || cmp.Diff(v, again) != "" {
			t.Fatalf("%q becomes %q, which reads differently: %v", s, text, err)
		}
		if strings.ContainsAny(text, "\n\r\x00") {
			t.Fatalf("%q becomes more than one line: %q", s, text)
		}
	})
}
