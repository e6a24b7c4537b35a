package reference

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/barman-go/barman/sdk"
)

// DirectoryConfig are a Directory's settings.
type DirectoryConfig struct {
	Path string `hcl:"path" doc:"Where objects are kept."`
}

// Directory is a sink. An object is a file under the hash of its name: the
// bytes, the object as JSON, and the length of that JSON.
type Directory struct{ Root string }

// OpenDirectory makes a Directory.
func OpenDirectory(_ context.Context, _ sdk.Server, c *DirectoryConfig) (*Directory, error) {
	if err := os.MkdirAll(filepath.Join(c.Path, "incomplete"), 0o700); err != nil {
		return nil, err
	}
	return &Directory{Root: c.Path}, nil
}

// File is where an object is kept.
func (d *Directory) File(name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(d.Root, hex.EncodeToString(sum[:]))
}

// Put stores an object: everything into a temporary file that is then linked
// under its name, so that nothing half-done has one.
func (d *Directory) Put(ctx context.Context, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	if _, err := os.Lstat(d.File(o.Name)); err == nil && !o.Replace {
		return sdk.Receipt{}, sdk.Errorf(sdk.Exists, "%s is there already", o.Name)
	}
	f, err := os.CreateTemp(filepath.Join(d.Root, "incomplete"), "")
	if err != nil {
		return sdk.Receipt{}, err
	}
	receipt, err := d.write(f, o, r)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = d.publish(f.Name(), o)
	}
	return receipt, errors.Join(err, f.Close(), remove(f.Name()))
}

func (d *Directory) write(f *os.File, o sdk.Object, r io.Reader) (sdk.Receipt, error) {
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	o.Size = 0
	if r != nil {
		var err error
		if o.Size, err = io.Copy(io.MultiWriter(f, sum), r); err != nil {
			return sdk.Receipt{}, err
		}
	}
	return sdk.Receipt{Name: o.Name, Size: o.Size, CRC32C: sum.Sum32()}, Finish(f, o)
}

// Finish writes what follows the bytes.
func Finish(f *os.File, o sdk.Object) error {
	trailer, err := json.Marshal(o)
	if err != nil {
		return err
	}
	_, err = f.Write(binary.LittleEndian.AppendUint32(trailer, uint32(len(trailer))))
	return err
}

func (d *Directory) publish(temporary string, o sdk.Object) error {
	if o.Replace {
		return os.Rename(temporary, d.File(o.Name))
	}
	err := os.Link(temporary, d.File(o.Name))
	if errors.Is(err, fs.ErrExist) {
		return sdk.Errorf(sdk.Exists, "%s is there already", o.Name)
	}
	return err
}

func remove(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Flush makes everything durable.
func (d *Directory) Flush(context.Context) error {
	f, err := os.Open(d.Root)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}

// Get opens an object.
func (d *Directory) Get(_ context.Context, name string) (sdk.Object, io.ReadCloser, error) {
	o, f, err := open(d.File(name))
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil, sdk.Errorf(sdk.NotFound, "%s does not exist", name)
	}
	if err != nil {
		return o, nil, err
	}
	return o, struct {
		io.Reader
		io.Closer
	}{io.LimitReader(f, o.Size), f}, nil
}

func open(file string) (o sdk.Object, f *os.File, err error) {
	if f, err = os.Open(file); err != nil {
		return o, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return o, nil, err
	}
	var length [4]byte
	if _, err = f.ReadAt(length[:], info.Size()-4); err != nil {
		return o, nil, sdk.Errorf(sdk.Corrupt, "%s: %w", file, err)
	}
	n := int64(binary.LittleEndian.Uint32(length[:]))
	if n > info.Size()-4 {
		return o, nil, sdk.Errorf(sdk.Corrupt, "%s has no trailer", file)
	}
	trailer := make([]byte, n)
	if _, err = f.ReadAt(trailer, info.Size()-4-n); err != nil {
		return o, nil, err
	}
	if err = json.Unmarshal(trailer, &o); err != nil {
		return o, nil, sdk.Errorf(sdk.Corrupt, "%s: %w", file, err)
	}
	return o, f, nil
}

// Objects are all objects whose names begin with prefix, unsorted.
func (d *Directory) Objects(prefix string) ([]sdk.Object, error) {
	entries, err := os.ReadDir(d.Root)
	if err != nil {
		return nil, err
	}
	var objects []sdk.Object
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		o, f, err := open(filepath.Join(d.Root, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
		if strings.HasPrefix(o.Name, prefix) {
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// List yields objects in the order of their names.
func (d *Directory) List(_ context.Context, prefix string) iter.Seq2[sdk.Object, error] {
	return func(yield func(sdk.Object, error) bool) {
		objects, err := d.Objects(prefix)
		if err != nil {
			yield(sdk.Object{}, err)
			return
		}
		sort.Slice(objects, func(i, j int) bool { return objects[i].Name < objects[j].Name })
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// Delete removes objects.
func (d *Directory) Delete(_ context.Context, names []string) error {
	for _, name := range names {
		if err := remove(d.File(name)); err != nil {
			return err
		}
	}
	return nil
}
