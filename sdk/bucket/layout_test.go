package bucket

import (
	"slices"
	"testing"

	"github.com/barman-go/barman/sdk"
)

func TestNamesHaveTheKeysOfPythonBarman(t *testing.T) {
	l := NewLayout("/backups/pg/", "main")
	for name, want := range map[string]string{
		"base/20260102T030405/backup.info":                       "base/20260102T030405/backup.info",
		"base/20260102T030405/barman-objects.jsonl":              "base/20260102T030405/barman-objects.jsonl",
		"base/20260102T030405/annotations/keep":                  "base/20260102T030405/annotations/keep",
		"base/20260102T030405/data/base.tar":                     "base/20260102T030405/data.tar",
		"base/20260102T030405/data/base.tar.gz":                  "base/20260102T030405/data.tar.gz",
		"base/20260102T030405/data/base_0001.tar.gz":             "base/20260102T030405/data_0001.tar.gz",
		"base/20260102T030405/data/base_12345.tar":               "base/20260102T030405/data_12345.tar",
		"base/20260102T030405/data/base.tar.sz":                  "base/20260102T030405/data.tar.snappy",
		"base/20260102T030405/data/base.tar.zst.age":             "base/20260102T030405/data.tar.zst.age",
		"base/20260102T030405/data/16400.tar.bz2":                "base/20260102T030405/16400.tar.bz2",
		"base/20260102T030405/data/16400_0002.tar":               "base/20260102T030405/16400_0002.tar",
		"base/20260102T030405/data/backup_manifest":              "base/20260102T030405/backup_manifest",
		"base/20260102T030405/data/PG_VERSION":                   "base/20260102T030405/data/PG_VERSION",
		"base/20260102T030405/data/base/1/2":                     "base/20260102T030405/data/base/1/2",
		"base/20260102T030405/data/base_1.tar":                   "base/20260102T030405/data/base_1.tar",
		"wals/0000000100000000/000000010000000000000001":         "wals/0000000100000000/000000010000000000000001",
		"wals/0000000100000000/000000010000000000000001.partial": "wals/0000000100000000/000000010000000000000001.partial",
		"wals/00000002.history":                                  "wals/00000002.history",
		"identity.json":                                          "identity.json",
	} {
		got, err := l.Key(name, sdk.KindFile)
		if err != nil || got != "backups/pg/main/"+want {
			t.Errorf("the key of %s is %s (%v)", name, got, err)
		}
		if back, ok := l.Name(got); !ok || back.Name != name {
			t.Errorf("%s stands for %+v", got, back)
		}
	}
}

func TestACompressedSegmentHasTheNameOfThePlainOne(t *testing.T) {
	l := NewLayout("", "main")
	for key, want := range map[string]Named{
		"main/wals/0000000100000000/000000010000000000000001.zst":         {Name: "wals/0000000100000000/000000010000000000000001", Suffix: ".zst"},
		"main/wals/0000000100000000/000000010000000000000001.partial.gz":  {Name: "wals/0000000100000000/000000010000000000000001.partial", Suffix: ".gz"},
		"main/wals/0000000100000000/000000010000000000000001.snappy":      {Name: "wals/0000000100000000/000000010000000000000001", Suffix: ".snappy"},
		"main/wals/00000002.history.xz":                                   {Name: "wals/00000002.history", Suffix: ".xz"},
		"main/wals/other.gz":                                              {Name: "wals/other.gz"},
		"main/base/a/data.tar.lz4":                                        {Name: "base/a/data/base.tar.lz4"},
		"main/base/a/data/pg_tblspc.barman-directory":                     {Name: "base/a/data/pg_tblspc", Kind: sdk.KindDirectory},
		"main/base/a/data/pg_tblspc/16400.barman-symlink":                 {Name: "base/a/data/pg_tblspc/16400", Kind: sdk.KindSymlink},
		"main/wals/0000000100000000/000000010000000000000001.gz.snappy":   {Name: "wals/0000000100000000/000000010000000000000001.gz.snappy"},
		"main/wals/0000000100000000/000000010000000000000001.00000028.gz": {Name: "wals/0000000100000000/000000010000000000000001.00000028.gz"},
	} {
		if got, ok := l.Name(key); !ok || got != want {
			t.Errorf("%s stands for %+v, %t", key, got, ok)
		}
	}
}

func TestKeysThatAreNotOursHaveNoName(t *testing.T) {
	l := NewLayout("p", "main")
	for _, key := range []string{
		"p/other/base/a/backup.info", "main/base/a/backup.info", "p/main", "p/main/", "p/main/base/", "p/main/base//backup.info", "p/main/../x",
		"p/main/base/a/data/base.tar", "p/main/base/a/data/16400.tar.gz", "p/main/base/a/data/backup_manifest", "p/main/base/a/data.tar.sz",
		"p/main/new\nline", "p/main/bad\xffutf8",
	} {
		if got, ok := l.Name(key); ok {
			t.Errorf("%q stands for %+v", key, got)
		}
	}
}

func TestNamesThatWouldTakeTheKeyOfAnotherAreRefused(t *testing.T) {
	l := NewLayout("p", "main")
	for _, name := range []string{
		"base/a/data.tar", "base/a/data_0001.tar.gz", "base/a/16400.tar", "base/a/backup_manifest", "base/a/data/base.tar.snappy",
		"wals/0000000100000000/000000010000000000000001.gz", "x.barman-directory", "x.barman-symlink", "", "../x",
	} {
		if key, err := l.Key(name, sdk.KindFile); sdk.KindOf(err) != sdk.Invalid {
			t.Errorf("%q has the key %q (%v)", name, key, err)
		}
	}
}

func TestAnnotationsAreLookedForUnderTheDoubleSlashToo(t *testing.T) {
	for path, want := range map[string]string{"": "/main/", "/": "/main/", "p": "p//main/", "p/q/": "p/q//main/"} {
		if got := NewLayout(path, "main").annotations(); got != want {
			t.Errorf("%q: %q", path, got)
		}
	}
}

func FuzzNamesAndKeysMapBothWays(f *testing.F) {
	for _, seed := range []string{
		"base/20260102T030405/data/base_0001.tar.sz", "base/a/data/16400.tar", "base/a/data.tar.snappy", "wals/0000000100000000/000000010000000000000001.zst",
		"base/a/backup_manifest", "wals/00000002.history", "a.barman-symlink", "base//x", "base/a/data/base.tar.tar", "base/a/_0001.tar",
	} {
		f.Add(seed)
	}
	l := NewLayout("p", "s")
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []sdk.ObjectKind{sdk.KindFile, sdk.KindTar, sdk.KindDirectory, sdk.KindSymlink} {
			key, err := l.Key(text, kind)
			if err != nil {
				continue
			}
			if back, ok := l.Name(key); !ok || back.Name != text || back.Kind != bytesOf(kind) || back.Suffix != "" {
				t.Errorf("%q has the key %q, which stands for %+v", text, key, back)
			}
		}
		n, ok := l.Name(l.Prefix + text)
		if !ok {
			return
		}
		key, err := l.Key(n.Name, n.Kind)
		if err == nil && key+n.Suffix != l.Prefix+text {
			t.Errorf("%q stands for %+v, whose key is %q", text, n, key)
		}
		if err != nil && len(text) < 1000 {
			t.Errorf("%q stands for %+v, which has no key: %v", text, n, err)
		}
	})
}

// Whatever is in a bucket, no key may be mapped to a name before the floor of the
// keys before it.
func FuzzTheFloorIsBelowAllNamesToCome(f *testing.F) {
	f.Add("base/a/data/base/1", "base/a/data_0001.tar", "base/a/")
	f.Add("directory-x", "directory.barman-directory", "")
	f.Add("wals/0000000100000000/000000010000000000000001.00000028.backup", "wals/0000000100000000/000000010000000000000001.zst", "wals/")
	f.Add("base/a/16400.tar", "base/a/annotations/keep", "")
	l := Layout{Prefix: "p/"}
	f.Fuzz(func(t *testing.T, a, b, prefix string) {
		keys := []string{l.Prefix + a, l.Prefix + b}
		slices.Sort(keys)
		for _, key := range keys {
			if n, ok := l.Name(key); !ok || len(n.Name) < len(prefix) || n.Name[:len(prefix)] != prefix {
				return
			}
		}
		later, _ := l.Name(keys[1])
		if floor := l.floor(keys[0], prefix); later.Name < floor {
			t.Errorf("%q is behind %q, whose floor is %q, and stands for %q", keys[1], keys[0], floor, later.Name)
		}
	})
}
