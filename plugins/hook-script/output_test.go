package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestOutputGoesToTheLogLineByLine(t *testing.T) {
	f := newFixture(t, Config{Script: `echo one; echo two >&2; echo; printf 'no end'`})
	if err := f.Notify(f.ctx, event); err != nil {
		t.Fatal(err)
	}
	want := "[INFO]  one: event=pre_backup\n[INFO]  two: event=pre_backup\n[INFO]  no end: event=pre_backup\n"
	if got := f.log.String(); got != want {
		t.Errorf("the log is\n%s\nwant\n%s", got, want)
	}
}

func TestOutputIsBounded(t *testing.T) {
	f := newFixture(t, Config{Script: `head -c 20000000 /dev/zero | tr '\0' x; echo; yes | head -n 2000000`, Retry: true})
	if err := f.Notify(f.ctx, event); err != nil {
		t.Fatal(err)
	}
	if n := f.log.Len(); n > 200_000 {
		t.Errorf("%d bytes were logged", n)
	}
	left := 20_000_000 - maxLine + 2_000_000 - (maxLines - 1)
	if want := fmt.Sprintf("bytes_left_out=%d", left); !strings.Contains(f.log.String(), want) {
		t.Errorf("the log does not say %s; it ends with %q", want, f.log.String()[max(0, f.log.Len()-200):])
	}
}

func TestOutputIsTextOnly(t *testing.T) {
	f := newFixture(t, Config{Script: `printf 'a\033[31mb\r\tc\377d\302\205\n'`})
	if err := f.Notify(f.ctx, event); err != nil {
		t.Fatal(err)
	}
	if got := f.log.String(); !strings.HasPrefix(got, "[INFO]  a [31mb \tc?d: event") {
		t.Errorf("the log is %q", got)
	}
}

func FuzzPrintable(f *testing.F) {
	for _, seed := range []string{"", "plain", "\x1b]0;title\a", "\xff\xfe", "a\x00b", "ümläut\u2028"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, r := range printable(line) {
			if r != '\t' && (r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0)) {
				t.Errorf("%q becomes %q", line, printable(line))
			}
		}
	})
}
