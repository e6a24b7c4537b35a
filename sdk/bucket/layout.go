package bucket

import (
	"strings"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/codec"
	"github.com/barman-go/barman/sdk/wal"
)

// Objects without bytes are objects of a bucket whose keys end like this. The
// body of a symbolic link is where it leads to.
const (
	markPrefix      = ".barman-"
	directorySuffix = markPrefix + "directory"
	symlinkSuffix   = markPrefix + "symlink"
)

// Layout maps the names of objects to keys and back.
//
// Both mappings are exact: a key has a name only if that name has this key.
// Other keys are other people's, and have none.
type Layout struct {
	// Prefix is what all keys begin with: empty, or ending in a slash.
	Prefix string
}

// NewLayout returns the layout of a server below the path of a URL.
func NewLayout(path, server string) Layout {
	var parts []string
	for _, part := range strings.Split(path+"/"+server, "/") {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return Layout{}
	}
	return Layout{Prefix: strings.Join(parts, "/") + "/"}
}

// Key returns the key of a name. Below wals/ it is that of the file as
// PostgreSQL wrote it; a compressed one has the suffix of WALSuffix behind it. A
// name that no key can have is an error of kind Invalid.
func (l Layout) Key(name string, kind sdk.ObjectKind) (string, error) {
	if !sdk.ValidName(name) {
		return "", sdk.Errorf(sdk.Invalid, "%q is no valid name of an object", name)
	}
	key := toKey(name)
	switch kind {
	case sdk.KindDirectory:
		key += directorySuffix
	case sdk.KindSymlink:
		key += symlinkSuffix
	}
	key = l.Prefix + key
	// S3 and its kin allow no more bytes.
	if len(key) > 1024 {
		return "", sdk.Errorf(sdk.Invalid, "%.100s…: a key in a bucket has at most 1024 bytes, this one would have %d", name, len(key))
	}
	back, ok := l.Name(key)
	if !ok || back.Name != name || back.Suffix != "" || bytesOf(back.Kind) != bytesOf(kind) {
		return "", sdk.Errorf(sdk.Invalid, "%q cannot be stored in a bucket: its key would be that of another object", name)
	}
	return key, nil
}

// bytesOf makes one of the kinds that have bytes: a bucket does not know which.
func bytesOf(kind sdk.ObjectKind) sdk.ObjectKind {
	if kind == sdk.KindTar {
		return sdk.KindFile
	}
	return kind
}

// Named is what a key stands for.
type Named struct {
	Name string
	Kind sdk.ObjectKind
	// Suffix is that of the codec of a compressed WAL file.
	Suffix string
}

// Name returns what a key stands for, if that is an object of ours.
func (l Layout) Name(key string) (Named, bool) {
	rest, ours := strings.CutPrefix(key, l.Prefix)
	if !ours {
		return Named{}, false
	}
	n := Named{Kind: sdk.KindFile}
	if plain, ok := strings.CutSuffix(rest, directorySuffix); ok {
		rest, n.Kind = plain, sdk.KindDirectory
	} else if plain, ok := strings.CutSuffix(rest, symlinkSuffix); ok {
		rest, n.Kind = plain, sdk.KindSymlink
	}
	n.Name = toName(rest)
	if name, suffix, compressed := compressedWAL(n.Name); compressed && n.Kind == sdk.KindFile {
		n.Name, n.Suffix = name, suffix
		rest = strings.TrimSuffix(rest, suffix)
	}
	return n, sdk.ValidName(n.Name) && toKey(n.Name) == rest
}

// WALSuffix is what is behind the key of a WAL file that begins with these
// bytes, of which codec.MagicSize are enough: nothing unless it is compressed.
func WALSuffix(beginning []byte) string { return suffixOf(codec.Detect(beginning)) }

// suffixOf is the suffix of a codec in a bucket.
func suffixOf(name string) string {
	if name == codec.Snappy {
		return ".snappy"
	}
	return codec.Suffix(name)
}

// isWAL tells whether a name is one under which WAL is archived.
func isWAL(name string) bool {
	if !strings.HasPrefix(name, "wals/") {
		return false
	}
	_, err := wal.ParseName(name[strings.LastIndexByte(name, '/')+1:])
	return err == nil
}

// walSuffixes are the suffixes that WAL files may have.
func walSuffixes() []string {
	return []string{".bz2", ".gz", ".lz4", ".snappy", ".xz", ".zst"}
}

// compressedWAL splits the name of a compressed WAL file.
func compressedWAL(rest string) (name, suffix string, ok bool) {
	for _, suffix := range walSuffixes() {
		if name, ok := strings.CutSuffix(rest, suffix); ok && isWAL(name) {
			return name, suffix, true
		}
	}
	return "", "", false
}

// toKey is the key of a name below the prefix. In a bucket the archives of a
// backup and its manifest are beside backup.info, and that of the data directory
// is called data instead of base.
func toKey(name string) string {
	directory, file, ok := ofBackup(name)
	if !ok {
		return name
	}
	file, ok = strings.CutPrefix(file, "data/")
	if !ok {
		return name
	}
	if file == manifest {
		return directory + manifest
	}
	series, rest, ok := archive(file, "base")
	if !ok {
		return name
	}
	if series == "base" {
		series = "data"
	}
	if plain, snappy := strings.CutSuffix(rest, ".tar"+codec.Suffix(codec.Snappy)); snappy {
		rest = plain + ".tar" + suffixOf(codec.Snappy)
	}
	return directory + series + rest
}

// toName is the name of a key below the prefix, the opposite of toKey.
func toName(rest string) string {
	directory, file, ok := ofBackup(rest)
	if !ok {
		return rest
	}
	if file == manifest {
		return directory + "data/" + manifest
	}
	series, end, ok := archive(file, "data")
	if !ok {
		return rest
	}
	if series == "data" {
		series = "base"
	}
	if plain, snappy := strings.CutSuffix(end, ".tar"+suffixOf(codec.Snappy)); snappy {
		end = plain + ".tar" + codec.Suffix(codec.Snappy)
	}
	return directory + "data/" + series + end
}

const manifest = "backup_manifest"

// ofBackup splits base/<id>/ from what is behind it.
func ofBackup(name string) (directory, rest string, ok bool) {
	below, ok := strings.CutPrefix(name, "base/")
	if !ok {
		return "", "", false
	}
	slash := strings.IndexByte(below, '/')
	if slash <= 0 || slash+1 == len(below) {
		return "", "", false
	}
	end := len("base/") + slash + 1
	return name[:end], name[end:], true
}

// archive splits the name of one of the archives of a backup: the data directory's
// series, as it is called there, or a tablespace's OID; and _0001, .tar and the
// suffixes of transforms.
func archive(file, data string) (series, rest string, ok bool) {
	dot := strings.Index(file, ".tar")
	if dot < 0 {
		return "", "", false
	}
	if end := file[dot+len(".tar"):]; strings.ContainsRune(end, '/') || end != "" && (end[0] != '.' || len(end) == 1) {
		return "", "", false
	}
	series, number, continued := strings.Cut(file[:dot], "_")
	if continued && (len(number) < 4 || !digits(number)) {
		return "", "", false
	}
	if series != data && !digits(series) {
		return "", "", false
	}
	return series, file[len(series):], true
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// isAnnotation tells whether a name is that of a note to a backup.
func isAnnotation(name string) bool {
	_, rest, ok := ofBackup(name)
	return ok && strings.HasPrefix(rest, "annotations/")
}

// annotations is the prefix under which Python Barman keeps annotations when the
// path of its URL ends in a slash, or is empty: it joins with one slash more.
func (l Layout) annotations() string {
	path, server := "", strings.TrimSuffix(l.Prefix, "/")
	if slash := strings.LastIndexByte(server, '/'); slash >= 0 {
		path, server = server[:slash+1], server[slash+1:]
	}
	return path + "/" + server + "/"
}

// scope is with which prefix the keys are listed whose names begin with prefix.
func (l Layout) scope(prefix string) string {
	if directory, _, ok := ofBackup(prefix); ok {
		return l.Prefix + directory
	}
	return l.Prefix + prefix
}

// floor is a name that no key from key on, if it is in the scope of a list of
// names with prefix, comes before. Suffixes and archives make names be ordered
// in another way than their keys.
func (l Layout) floor(key, prefix string) string {
	rest := strings.TrimPrefix(key, l.Prefix)
	lowest := rest
	// A name is shorter than its key by a suffix: the shortest beginning of this key
	// that may still come with one.
	for i := len(prefix); i < len(rest); i++ {
		if rest[i:] <= ".zst" {
			lowest = rest[:i]
			break
		}
	}
	if directory, file, ok := ofBackup(rest); ok && file < "data`" {
		// data_0001.tar is yet to come, which is data/base_0001.tar.
		lowest = min(lowest, directory+"data/base_")
	}
	return lowest
}
