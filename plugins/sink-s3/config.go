package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the sink "s3".
type Config struct {
	URL string `hcl:"url" doc:"The bucket, with a path in it if wanted: s3://<bucket>[/<path>]. The server's objects are stored below that, in a folder of the server's name."`

	Endpoint  string `hcl:"endpoint,optional" doc:"The URL of a store other than Amazon's: http://minio:9000 (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, else Amazon's for the region)."`
	PathStyle *bool  `hcl:"path_style,optional" doc:"Name the bucket in the path of a request instead of the host's name (default: true with an endpoint, else false)."`
	Region    string `hcl:"region,optional" doc:"The bucket's region (default: AWS_REGION or the profile's; without any, what Amazon says it is)."`

	Profile         string     `hcl:"profile,optional" doc:"The profile in ~/.aws/config and ~/.aws/credentials to use (default: AWS_PROFILE, else default)."`
	AccessKeyID     string     `hcl:"access_key_id,optional" doc:"The access key's ID. Left out, credentials come from the environment, the profile, a web identity token, the container or the instance, in this order."`
	SecretAccessKey sdk.Secret `hcl:"secret_access_key,optional" doc:"The access key's secret."`
	SessionToken    sdk.Secret `hcl:"session_token,optional" doc:"The token that belongs to a temporary access key."`

	Encryption   string            `hcl:"encryption,optional" doc:"Encryption at the store: AES256, or aws:kms with a key of the Key Management Service (default: the bucket's)."`
	KMSKeyID     string            `hcl:"kms_key_id,optional" doc:"With aws:kms: the key's ID, alias or ARN (default: the account's key for S3)."`
	StorageClass string            `hcl:"storage_class,optional" doc:"The storage class of objects: STANDARD_IA, INTELLIGENT_TIERING, GLACIER_IR and so on (default: the store's)."`
	Tags         map[string]string `hcl:"tags,optional" doc:"Tags of all objects."`
	HistoryTags  map[string]string `hcl:"history_tags,optional" doc:"Tags of timeline history files, instead of those of all objects."`

	ObjectLock      *ObjectLock `hcl:"object_lock,block" doc:"Lock objects for a time, in a bucket with object lock."`
	CheckObjectLock bool        `hcl:"check_object_lock,optional" doc:"Before objects of a backup are deleted, make sure that none of them is locked, and delete nothing if one is."`

	PartSize      schema.ByteSize `hcl:"part_size,optional" default:"12MiB" doc:"How many bytes a part has. Parts of very large objects grow, so that 10000 are enough."`
	SinglePutSize schema.ByteSize `hcl:"single_put_size,optional" default:"16MiB" doc:"How many bytes an object that is stored in one request has at most: a WAL segment."`
	ParallelParts int             `hcl:"parallel_parts,optional" default:"4" doc:"How many requests send or fetch bytes at once. Each needs memory for one part."`

	BandwidthLimit schema.ByteSize `hcl:"bandwidth_limit,optional" doc:"The most bytes that are sent in a second, and received; unlimited when left out."`
	ReadTimeout    time.Duration   `hcl:"read_timeout,optional" default:"1m" doc:"How long the store may be silent in the middle of a request before it is tried again."`
	Patience       time.Duration   `hcl:"patience,optional" default:"3m" doc:"How long a store that is away, or refuses for the moment, is asked again."`
	CreateBucket   bool            `hcl:"create_bucket,optional" doc:"Create the bucket if it is missing."`
}

// ObjectLock is how objects are locked.
type ObjectLock struct {
	Mode       string `hcl:"mode,optional" doc:"GOVERNANCE (who has the permission may delete nevertheless) or COMPLIANCE (nobody may)."`
	RetainDays int    `hcl:"retain_days,optional" doc:"With a mode: for how many days an object stays locked."`
	LegalHold  bool   `hcl:"legal_hold,optional" doc:"Put a legal hold on objects: they stay locked until somebody lifts it."`
}

const (
	minPart  = 5 << 20
	maxPart  = 5 << 30
	maxParts = 10_000
	maxTags  = 10

	encryptionKMS = "aws:kms"
)

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	report := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if _, _, err := parseURL(c.URL); err != nil {
		report("url", "Not the URL of a bucket", "%s.", err)
	}
	if u, err := url.Parse(c.Endpoint); c.Endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		report("endpoint", "Not the URL of a store", "%q does not begin with http:// or https:// and the name of a host.", c.Endpoint)
	}
	if (c.AccessKeyID == "") != (c.SecretAccessKey == "") {
		report("secret_access_key", "Half a credential", "An access key has an ID and a secret: give both access_key_id and secret_access_key, or neither.")
	}
	if c.AccessKeyID != "" && c.Profile != "" {
		report("profile", "Two credentials", "Give a profile or an access key, not both.")
	}
	if c.SessionToken != "" && c.AccessKeyID == "" {
		report("session_token", "A token without a key", "A session token belongs to an access key: give access_key_id and secret_access_key, too.")
	}
	if c.Encryption != "" && c.Encryption != "AES256" && c.Encryption != encryptionKMS {
		report("encryption", "Unknown encryption", "%q is neither AES256 nor aws:kms.", c.Encryption)
	}
	if c.KMSKeyID != "" && c.Encryption != encryptionKMS {
		report("kms_key_id", "A key for no encryption", "A key of the Key Management Service is used with encryption = \"aws:kms\" alone.")
	}
	if c.StorageClass == string(types.StorageClassGlacier) || c.StorageClass == string(types.StorageClassDeepArchive) {
		report("storage_class", "A class that cannot be read", "What is in %s is not read back without being restored first; GLACIER_IR can be.", c.StorageClass)
	}
	for path, tags := range map[string]map[string]string{"tags": c.Tags, "history_tags": c.HistoryTags} {
		if len(tags) > maxTags {
			report(path, "Too many tags", "An object has at most %d tags, these are %d.", maxTags, len(tags))
		}
	}
	if c.PartSize != 0 && (c.PartSize < minPart || c.PartSize > maxPart) {
		report("part_size", "Invalid size", "A part has between %s and %s.", schema.ByteSize(minPart), schema.ByteSize(maxPart))
	}
	if c.SinglePutSize > maxPart {
		report("single_put_size", "Invalid size", "One request carries at most %s.", schema.ByteSize(maxPart))
	}
	if c.ParallelParts < 0 {
		report("parallel_parts", "Invalid number", "At least one request is sent at a time.")
	}
	c.ObjectLock.validate(report)
	return found
}

func (l *ObjectLock) validate(report func(path, summary, format string, args ...any)) {
	if l == nil {
		return
	}
	if l.Mode != "" && !slices.Contains(types.ObjectLockMode("").Values(), types.ObjectLockMode(l.Mode)) {
		report("object_lock.mode", "Unknown mode", "%q is neither GOVERNANCE nor COMPLIANCE.", l.Mode)
	}
	if (l.Mode != "") != (l.RetainDays > 0) {
		report("object_lock.retain_days", "Half a lock", "A mode and a number of days belong together.")
	}
	if l.Mode == "" && !l.LegalHold {
		report("object_lock.mode", "No lock", "Set mode and retain_days, or legal_hold.")
	}
}

// parseURL splits the URL of a bucket.
func parseURL(text string) (name, path string, err error) {
	rest, ok := strings.CutPrefix(text, "s3://")
	name, path, _ = strings.Cut(rest, "/")
	if !ok || name == "" || strings.ContainsAny(name, "?#@: ") {
		return "", "", sdk.Errorf(sdk.Invalid, "%q is not s3://<bucket>[/<path>]", text)
	}
	if bad := strings.ContainsFunc(path, func(r rune) bool { return r < 0x20 || r == 0x7f }); bad {
		return "", "", sdk.Errorf(sdk.Invalid, "%q has control characters in its path", text)
	}
	return name, path, nil
}

// tagging are tags as a header has them.
func tagging(tags bucket.Tags, key string) *string {
	values := url.Values{}
	for name, value := range tags.Of(key) {
		values.Set(name, value)
	}
	if len(values) == 0 {
		return nil
	}
	text := values.Encode()
	return &text
}
