package cloud

import (
	"cmp"
	"time"

	"github.com/barman-go/barman/core/pipeline"
	"github.com/barman-go/barman/sdk/schema"
)

// Options say where a bucket is and how its provider is spoken to. A zero value
// leaves the choice to the provider's sink; what a provider has no use for is left
// out, as in Python.
type Options struct {
	// Provider is derived from the URL when empty.
	Provider Provider
	// URL is the bucket with a path in it: s3://bucket/path.
	URL string

	// Endpoint is the URL of a store other than Amazon's (S3).
	Endpoint string
	// Profile is one of the shared AWS configuration (S3).
	Profile string
	// Region of the bucket (S3).
	Region string
	// ReadTimeout is how long the store may be silent (S3).
	ReadTimeout time.Duration
	// Encryption by the store: AES256 or aws:kms (S3).
	Encryption string
	// KMSKeyID is the key to encrypt with (S3).
	KMSKeyID string
	// KMSKeyName is the key to encrypt with (GCS).
	KMSKeyName string

	// Credential is azure-cli, managed-identity or default (Azure).
	Credential string
	// EncryptionScope (Azure).
	EncryptionScope string

	// Tags are put on all objects, HistoryTags on timeline history files in their
	// place.
	Tags, HistoryTags []Tag
	// PartSize is how many bytes an upload sends at once; what is less than the
	// provider takes is that.
	PartSize int64
	// Parts is how many of them are on their way at once.
	Parts int
	// BlockSize and Concurrency are the same of Azure alone.
	BlockSize   int64
	Concurrency int
	// SinglePut is up to how many bytes an object is sent in one request (Azure).
	SinglePut int64
	// Patience is how long a store that is away is asked again.
	Patience time.Duration
	// Bandwidth is the most bytes to send in a second.
	Bandwidth int64
	// CreateBucket makes the bucket when there is none.
	CreateBucket bool
	// CheckObjectLock refuses to delete objects that the store has locked (S3).
	CheckObjectLock bool
}

// sink is the stage that the options describe.
func (o Options) sink() (pipeline.Stage, error) {
	provider := cmp.Or(o.Provider, providerOf(o.URL))
	name, err := provider.sink()
	if err != nil {
		return pipeline.Stage{}, err
	}
	v := settings{"url": o.URL}
	switch provider {
	case S3:
		v.text("endpoint", o.Endpoint)
		v.text("profile", o.Profile)
		v.text("region", o.Region)
		v.text("encryption", o.Encryption)
		v.text("kms_key_id", o.KMSKeyID)
		v.duration("read_timeout", o.ReadTimeout)
		if o.PartSize > 0 {
			o.PartSize = max(o.PartSize, leastPartOfS3)
		}
		v.flag("check_object_lock", o.CheckObjectLock)
	case Azure:
		v.text("credential", o.Credential)
		v.text("encryption_scope", o.EncryptionScope)
		v.size("single_put_size", o.SinglePut)
		o.PartSize, o.Parts = max(o.PartSize, o.BlockSize), max(o.Parts, o.Concurrency)
	case GCS:
		v.text("kms_key", o.KMSKeyName)
	}
	v.tags("tags", o.Tags)
	v.tags("history_tags", o.HistoryTags)
	v.size("part_size", o.PartSize)
	v.duration("patience", o.Patience)
	v.size("bandwidth_limit", o.Bandwidth)
	if o.Parts > 0 {
		v["parallel_parts"] = o.Parts
	}
	v.flag("create_bucket", o.CreateBucket)
	return pipeline.Stage{Kind: "sink", Name: name, Settings: pipeline.Values(v)}, nil
}

// leastPartOfS3 is how many bytes a part has at least there.
const leastPartOfS3 = 5 << 20

// settings are those of a sink, with what is not set left out.
type settings pipeline.Values

func (s settings) text(key, value string) {
	if value != "" {
		s[key] = value
	}
}

func (s settings) size(key string, bytes int64) {
	if bytes > 0 {
		s[key] = schema.ByteSize(bytes).String()
	}
}

func (s settings) duration(key string, value time.Duration) {
	if value > 0 {
		s[key] = value.String()
	}
}

func (s settings) flag(key string, value bool) {
	if value {
		s[key] = true
	}
}

func (s settings) tags(key string, tags []Tag) {
	if len(tags) == 0 {
		return
	}
	values := make(map[string]string, len(tags))
	for _, t := range tags {
		values[t.Key] = t.Value
	}
	s[key] = values
}
