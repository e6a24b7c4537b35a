package recovery

import (
	"hash/maphash"
	"strings"

	"github.com/barman-go/barman/core/catalogue"
	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/host"
)

// receipts hold what is read of the store against what was stored. Of every
// object there are two hashes in memory, whatever the length of its name.
type receipts struct {
	run        *run
	selections []host.Selection
	exact      map[string]string // names in the store by the names that objects have on their way
	seed       maphash.Seed
	expected   map[uint64]uint64 // by the hash of the name, that of size and checksum
	// content is what objects were before transforms, by the hash of the name; only
	// where it is held against files.
	content   map[uint64]summary
	strangers int    // objects that the backup did not store
	stranger  string // one of them
}

// summary is what is known of an object's bytes.
type summary struct {
	size   int64
	crc32c uint32
}

// receipts reads the receipts of the selected objects. A backup that has none,
// because another program took it, is checked by nobody: it is nil then.
func (r *run) receipts(selections []host.Selection) (*receipts, error) {
	_, objects, err := r.server.Catalogue.Receipts(r.request.Backup.ID)
	if sdk.KindOf(err) == sdk.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c := &receipts{run: r, selections: selections, exact: map[string]string{}, seed: maphash.MakeSeed(), expected: map[uint64]uint64{}}
	for _, s := range selections {
		if !s.Prefix {
			c.exact[s.Rename] = s.Name
		}
	}
	if r.reuse || r.host.Remote() != "" {
		c.content = map[uint64]summary{}
	}
	for o, err := range objects {
		if err != nil {
			return nil, err
		}
		if !c.selected(o.Name) {
			continue
		}
		key := maphash.String(c.seed, o.Name)
		c.expected[key] = c.sum(o.StoredSize, uint32(o.StoredCRC32C))
		if c.content != nil {
			c.content[key] = summary{o.Size, uint32(o.CRC32C)}
		}
	}
	return c, nil
}

func (c *receipts) sum(size int64, crc32c uint32) uint64 {
	return maphash.Comparable(c.seed, summary{size, crc32c})
}

// selected tells whether an object of the store is to be read.
func (c *receipts) selected(name string) bool {
	for _, s := range c.selections {
		if s.Name == name || s.Prefix && strings.HasPrefix(name, s.Name) {
			return true
		}
	}
	return false
}

// stored returns the name in the store of an object on its way.
func (c *receipts) stored(name string) string {
	if original, ok := c.exact[name]; ok {
		return original
	}
	best := host.Selection{}
	for _, s := range c.selections {
		if s.Prefix && strings.HasPrefix(name, s.Rename) && (best.Name == "" || len(s.Rename) > len(best.Rename)) {
			best = s
		}
	}
	return best.Name + strings.TrimPrefix(name, best.Rename)
}

// check is told of objects that were read and have arrived.
func (c *receipts) check(arrived []sdk.Receipt) error {
	for _, a := range arrived {
		name := c.stored(a.SourceName)
		key := maphash.String(c.seed, name)
		want, known := c.expected[key]
		_, link := c.run.mounts[a.SourceName]
		switch {
		case !known && link: // to a tablespace, which recovery makes anew
		case !known:
			c.strangers++
			c.stranger = name
		case want != c.sum(a.SourceSize, a.SourceCRC32C):
			return c.damaged("%s is not what was stored: the store gave %d bytes with the CRC-32C %s", name, a.SourceSize, catalogue.Checksum(a.SourceCRC32C))
		}
		delete(c.expected, key)
	}
	return nil
}

// finish is called when everything has arrived.
func (c *receipts) finish() error {
	if c.strangers > 0 {
		c.run.warn("the store holds %d objects that backup %s did not store, %s for one; they were restored, too", c.strangers, c.run.request.Backup.ID, c.stranger)
	}
	if len(c.expected) == 0 {
		return nil
	}
	_, objects, err := c.run.server.Catalogue.Receipts(c.run.request.Backup.ID)
	if err != nil {
		return err
	}
	for o, err := range objects {
		if err != nil {
			return err
		}
		if _, left := c.expected[maphash.String(c.seed, o.Name)]; left && c.selected(o.Name) {
			return c.damaged("%d of the objects that were stored are missing, %s for one", len(c.expected), o.Name)
		}
	}
	return nil
}

func (c *receipts) damaged(format string, args ...any) error {
	id := c.run.request.Backup.ID
	return sdk.Errorf(sdk.Corrupt, format+"; recover another backup, or, to recover what there is of this one, move %s away from %s first",
		append(args, catalogue.ReceiptsName, c.run.server.Catalogue.Directory(id))...)
}
