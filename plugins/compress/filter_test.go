package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/barman-go/barman/sdk"
)

// custom is a configuration whose filter marks what it makes with ZIP!.
func custom() Config {
	return Config{Codec: "custom", Filter: "printf ZIP! && gzip -1", DecompressionFilter: "tail -c +5 | gzip -d", Magic: "0x5a495021"}
}

func TestFiltersRoundTripEverySize(t *testing.T) {
	unmarked := custom()
	unmarked.Magic = ""
	known := Config{Codec: "custom", Filter: "gzip -1", DecompressionFilter: "gzip -d"}
	for name, config := range map[string]Config{"with magic": custom(), "without magic": unmarked, "in a known format": known} {
		t.Run(name, func(t *testing.T) {
			c := start(t, config)
			for _, size := range sizes {
				data := tablePages(size, 1)
				wantDecoded(t, c, "00000001000000000000000A", encode(t, c, "00000001000000000000000A", data), data)
			}
		})
	}
}

func TestWhatAFilterMadeIsReadWhateverTheCodecIsToday(t *testing.T) {
	data := tablePages(chunkSize+1, 1)
	stored := encode(t, start(t, custom()), "x", data)
	for _, codec := range codecs {
		today := custom()
		today.Codec = codec
		c := start(t, today)
		wantDecoded(t, c, "x", stored, data)
		// What merely looks like it comes back as well.
		wantDecoded(t, c, "x"+c.Suffix(), encode(t, c, "x", stored), stored)
		wantDecoded(t, c, "x"+c.Suffix(), encode(t, c, "x", []byte("ZI")), []byte("ZI"))
	}
}

func TestKnownFormatsAreReadWithoutTheFilter(t *testing.T) {
	data := tablePages(5000, 1)
	c := start(t, custom())
	wantDecoded(t, c, "x", foreign(t, "zstd", data), data)
	wantDecoded(t, c, "x", data, data)
}

func TestFilterWhoseMagicIsAKnownOneIsUsed(t *testing.T) {
	c := start(t, Config{DecompressionFilter: "gzip -d | tr a-z A-Z", Magic: "0x1f8b08"})
	wantDecoded(t, c, "x", foreign(t, "gzip", []byte("page")), []byte("PAGE"))
}

func TestFilterThatFailsIsAnError(t *testing.T) {
	data := tablePages(300_000, 1)
	for name, tc := range map[string]struct {
		filter string
		kind   sdk.ErrorKind
		text   string
	}{
		"exits with a code":            {"printf ZIP!; cat; echo no room left >&2; exit 3", sdk.Unknown, "filter exited with 3: no room left"},
		"is missing":                   {"no-such-compressor -c", sdk.Invalid, "filter cannot be run"},
		"is a syntax error":            {"gzip |", sdk.Unknown, "filter exited with 2"},
		"is killed":                    {"cat >/dev/null; kill -9 $$", sdk.Unknown, "killed"},
		"writes nothing":               {"cat >/dev/null", sdk.Invalid, "magic"},
		"has another magic":            {"gzip -c", sdk.Invalid, "begins with 0x1f8b08"},
		"stops reading":                {"printf ZIP!; head -c 5", sdk.Unknown, "without reading all"},
		"closes its input at once":     {"exec <&-; printf ZIP!", sdk.Unknown, "without reading all"},
		"never reads":                  {"printf ZIP!", sdk.Unknown, "without reading all"},
		"fails after all its output":   {"printf ZIP!; gzip -c; exit 1", sdk.Unknown, "filter exited with 1"},
		"writes less than the magic":   {"cat >/dev/null; printf ZI", sdk.Invalid, "begins with 0x5a49,"},
		"writes the magic's beginning": {"cat >/dev/null; printf ZIPPER", sdk.Invalid, "begins with 0x5a495050"},
	} {
		t.Run(name, func(t *testing.T) {
			config := custom()
			config.Filter = tc.filter
			for _, size := range []int{10, len(data)} {
				err := start(t, config).Encode(t.Context(), sdk.Object{Name: "x"}, io.Discard, bytes.NewReader(data[:size]))
				if err == nil || sdk.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
					t.Errorf("%d bytes give error %v of kind %s, want one of kind %s with %q", size, err, sdk.KindOf(err), tc.kind, tc.text)
				}
			}
		})
	}
}

func TestFilterThatWritesNothingIsAnErrorWithoutMagicToo(t *testing.T) {
	c := start(t, Config{Codec: "custom", Filter: "cat >/dev/null", DecompressionFilter: "cat"})
	if err := c.Encode(t.Context(), sdk.Object{Name: "x"}, io.Discard, strings.NewReader("page")); sdk.KindOf(err) != sdk.Invalid {
		t.Errorf("error %v", err)
	}
}

func TestWhatADecompressionFilterRefusesIsCorrupt(t *testing.T) {
	stored := encode(t, start(t, custom()), "x", tablePages(300_000, 1))
	for name, tc := range map[string]struct {
		filter string
		stored []byte
		kind   sdk.ErrorKind
		text   string
	}{
		"cut":             {custom().DecompressionFilter, stored[:len(stored)/2], sdk.Corrupt, "decompression_filter exited with 1"},
		"cut in magic":    {custom().DecompressionFilter, stored[:3], sdk.Corrupt, "magic number of custom"},
		"garbage":         {custom().DecompressionFilter, []byte("ZIP!garbage"), sdk.Corrupt, "decompression_filter exited with 1"},
		"missing command": {"no-such-compressor -d", stored, sdk.Invalid, "decompression_filter cannot be run"},
		"killed":          {"kill -9 $$", stored, sdk.Unknown, "killed"},
	} {
		t.Run(name, func(t *testing.T) {
			config := custom()
			config.DecompressionFilter = tc.filter
			_, err := decode(t, start(t, config), "x", tc.stored)
			if sdk.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("error %v of kind %s, want one of kind %s with %q", err, sdk.KindOf(err), tc.kind, tc.text)
			}
		})
	}
}

func TestDecompressionFilterMayStopAtTheEndOfItsData(t *testing.T) {
	config := custom()
	config.DecompressionFilter = "head -c 6"
	src := bytes.NewReader([]byte("ZIP!me" + strings.Repeat("tail", 100_000)))
	var out bytes.Buffer
	if err := start(t, config).Decode(t.Context(), sdk.Object{Name: "x"}, &out, src); err != nil || out.String() != "ZIP!me" {
		t.Errorf("%q, error %v", out.String(), err)
	}
	if src.Len() > 0 {
		t.Errorf("%d bytes of the source were not read", src.Len())
	}
}

func TestErrorsOfBothEndsOfAFilterComeBack(t *testing.T) {
	c := start(t, custom())
	data := tablePages(300_000, 1)
	stored := encode(t, c, "x", data)
	o := sdk.Object{Name: "x"}
	for operation, err := range map[string]error{
		"Encode with a broken source":      c.Encode(t.Context(), o, io.Discard, brokenReader(data, 100_000)),
		"Decode with a broken source":      c.Decode(t.Context(), o, io.Discard, brokenReader(stored, 1000)),
		"Encode with a broken destination": c.Encode(t.Context(), o, &brokenWriter{1000}, bytes.NewReader(data)),
		"Decode with a broken destination": c.Decode(t.Context(), o, &brokenWriter{1000}, bytes.NewReader(stored)),
	} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%s: error %v", operation, err)
		}
	}
}

// Whatever the filter hangs in, it ends when the operation is cancelled, with
// all that it started.
func TestFilterThatHangsIsKilledWhenTheOperationIsCancelled(t *testing.T) {
	for name, command := range map[string]string{
		"without reading":    "sleep 600",
		"while it reads":     "cat >/dev/null; sleep 600",
		"in a child":         "sleep 600 | cat",
		"in the background":  "sleep 600 & cat >/dev/null",
		"deaf to signals":    "trap '' TERM INT HUP; sleep 600",
		"with closed output": "exec >&- 2>&-; sleep 600",
	} {
		t.Run(name, func(t *testing.T) {
			mark := filepath.Join(t.TempDir(), "started")
			config := custom()
			config.Filter = "echo $$ >" + mark + ".new && mv " + mark + ".new " + mark + "; " + command
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error)
			go func() {
				result <- start(t, config).Encode(ctx, sdk.Object{Name: "x"}, io.Discard, bytes.NewReader(tablePages(300_000, 1)))
			}()
			group := waitFor(t, mark)
			cancel()
			if err := <-result; sdk.KindOf(err) != sdk.Cancelled {
				t.Errorf("error %v", err)
			}
			if left := processesOf(t, group); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

func waitFor(t *testing.T, path string) string {
	t.Helper()
	for range 3000 {
		if content, err := os.ReadFile(path); err == nil {
			return strings.TrimSpace(string(content))
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the filter does not start")
	return ""
}

// processesOf returns what is left alive of a process group, once the kernel
// had time to end it.
func processesOf(t *testing.T, group string) []string {
	t.Helper()
	var left []string
	for range 500 {
		left = nil
		stats, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range stats {
			content, err := os.ReadFile(path)
			if err != nil {
				continue // it ended
			}
			// pid (comm) state ppid pgrp …
			_, rest, _ := strings.Cut(string(content), ") ")
			if fields := strings.Fields(rest); len(fields) > 2 && fields[2] == group && fields[0] != "Z" {
				left = append(left, string(content))
			}
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return left
}

func TestFiltersSeeNothingOfThePluginsOwnEnvironment(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "24MiB")
	t.Setenv("PLUGIN_UNIX_SOCKET_DIR", "/run")
	t.Setenv("PASSED_ON", "yes")
	c := start(t, Config{Codec: "custom", Filter: "cat >/dev/null; env", DecompressionFilter: "cat"})
	env := string(encode(t, c, "x", []byte("page")))
	if strings.Contains(env, "GOMEMLIMIT=") || strings.Contains(env, "PLUGIN_") || !strings.Contains(env, "PASSED_ON=yes") {
		t.Error(env)
	}
}

func TestSettingsThatCannotBeUsedAreReported(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		paths  string
	}{
		"none":                       {Config{}, ""},
		"all of custom":              {custom(), ""},
		"filters kept for old files": {Config{Codec: "zstd", DecompressionFilter: "gzip -d", Magic: "0x1f"}, ""},
		"levels beyond the scale":    {Config{Codec: "gzip", Level: "99"}, ""},
		"an unknown codec":           {Config{Codec: "rar"}, "codec"},
		"an unknown level":           {Config{Level: "best"}, "level"},
		"custom without filters":     {Config{Codec: "custom"}, "filter decompression_filter"},
		"a filter without its twin":  {Config{Codec: "custom", Filter: "gzip", DecompressionFilter: " "}, "decompression_filter"},
		"a magic for nothing":        {Config{Magic: "0x1f"}, "decompression_filter"},
		"a filter for nothing":       {Config{DecompressionFilter: "gzip -d"}, "magic"},
		"a magic that is no number":  {Config{DecompressionFilter: "gzip -d", Magic: "gz"}, "magic"},
		"a magic of half a byte":     {Config{DecompressionFilter: "gzip -d", Magic: "0x1"}, "magic"},
		"an empty magic":             {Config{DecompressionFilter: "gzip -d", Magic: "0x"}, "magic"},
		"a NUL in a command":         {Config{Codec: "custom", Filter: "a\x00", DecompressionFilter: "b\x00"}, "filter decompression_filter"},
	} {
		var paths []string
		for _, d := range tc.config.Validate() {
			paths = append(paths, d.Path)
		}
		if got := strings.Join(paths, " "); got != tc.paths {
			t.Errorf("%s: complaints about %q instead of %q", name, got, tc.paths)
		}
	}
}
