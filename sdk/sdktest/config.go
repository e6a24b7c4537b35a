package sdktest

import (
	"time"

	"github.com/barman-go/barman/sdk"
)

// Config holds a plugin's settings as its block in the configuration would:
// texts, numbers, truth values, lists of texts, maps of texts, and blocks as
// maps.
type Config map[string]any

// Option adapts the checks to what a plugin or a machine can do.
type Option func(*options)

type options struct {
	server      sdk.Server
	largest     int64
	small       int
	memory      int64
	deadline    time.Duration
	unframed    bool
	leftovers   func(t T) []string
	layouts     []sdk.BackupLayout
	idle        func(t T)
	unreachable *sdk.Server
}

func collect(list []Option) options {
	o := options{
		largest:  4<<30 + 1,
		small:    10_000,
		memory:   128 << 20,
		deadline: 5 * time.Second,
		layouts:  []sdk.BackupLayout{sdk.LayoutTar, sdk.LayoutPlain},
	}
	for _, option := range list {
		option(&o)
	}
	return o
}

// Server is the PostgreSQL server that the plugin is told of.
func Server(s sdk.Server) Option { return func(o *options) { o.server = s } }

// LargestObject is the size of the largest object in bytes; by default 4 GiB
// and one byte, which a size or an offset in 32 bits does not survive. Lower it
// where the store or the network is too small for that.
func LargestObject(bytes int64) Option { return func(o *options) { o.largest = bytes } }

// SmallObjects is how many small objects are sent at once; 10,000 by default.
func SmallObjects(n int) Option { return func(o *options) { o.small = n } }

// MemoryLimit is how much memory the plugin may have resident at any time,
// 128 MiB by default.
func MemoryLimit(bytes int64) Option { return func(o *options) { o.memory = bytes } }

// Deadline is how long an operation may go on after it was cancelled or its
// peer went away; 5 seconds by default.
func Deadline(d time.Duration) Option { return func(o *options) { o.deadline = d } }

// Unframed tells that a transform maps byte to byte, so that it cannot know
// whether it was given all of an object.
func Unframed() Option { return func(o *options) { o.unframed = true } }

// Leftovers returns what a sink's store holds that is no object and should not
// be there once nothing runs: temporary files, unfinished uploads.
func Leftovers(f func(t T) []string) Option { return func(o *options) { o.leftovers = f } }

// Layouts are the layouts that a backup source can emit; both by default.
func Layouts(layouts ...sdk.BackupLayout) Option { return func(o *options) { o.layouts = layouts } }

// Idle is called after a backup was cut off; it fails t if something of it still
// runs on the server.
func Idle(f func(t T)) Option { return func(o *options) { o.idle = f } }

// Unreachable is a server that cannot be reached: a source must say so with an
// error of kind Unavailable.
func Unreachable(s sdk.Server) Option { return func(o *options) { o.unreachable = &s } }
