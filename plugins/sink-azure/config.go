package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/barman-go/barman/sdk"
	"github.com/barman-go/barman/sdk/bucket"
	"github.com/barman-go/barman/sdk/schema"
)

// Config holds the settings of the sink "azure".
type Config struct {
	URL string `hcl:"url" doc:"The container, with a path in it if wanted: https://<account>.blob.core.windows.net/<container>[/<path>], or http://<host>:<port>/<account>/<container>[/<path>] for an emulator. The server's objects are stored below that, in a folder of the server's name."`

	Credential       string     `hcl:"credential,optional" doc:"Whose permissions to use: azure-cli (who is logged in with az), managed-identity (that of the machine), or default (the first of those that Azure's libraries try, the environment's AZURE_CLIENT_ID and so on among them). Left out: the settings below, then AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_KEY, then default."`
	ConnectionString sdk.Secret `hcl:"connection_string,optional" doc:"A connection string of the storage account."`
	SASToken         sdk.Secret `hcl:"sas_token,optional" doc:"A shared access signature for the container: what follows the question mark of its URL. It needs the permissions to read, create, write, delete and list, and that for tags if there are any."`
	AccountKey       sdk.Secret `hcl:"account_key,optional" doc:"A key of the storage account."`

	EncryptionScope string            `hcl:"encryption_scope,optional" doc:"The encryption scope that blobs are written with, instead of the container's own."`
	AccessTier      string            `hcl:"access_tier,optional" doc:"The access tier of blobs: Hot, Cool or Cold (default: the account's)."`
	Tags            map[string]string `hcl:"tags,optional" doc:"Blob index tags of all objects."`
	HistoryTags     map[string]string `hcl:"history_tags,optional" doc:"Blob index tags of timeline history files, instead of those of all objects."`

	PartSize      schema.ByteSize `hcl:"part_size,optional" default:"12MiB" doc:"How many bytes a block has. Blocks of very large objects grow, so that 50000 are enough."`
	SinglePutSize schema.ByteSize `hcl:"single_put_size,optional" default:"16MiB" doc:"How many bytes an object that is stored in one request has at most: a WAL segment."`
	ParallelParts int             `hcl:"parallel_parts,optional" default:"4" doc:"How many requests send or fetch bytes at once. Each needs memory for one block."`

	BandwidthLimit schema.ByteSize `hcl:"bandwidth_limit,optional" doc:"The most bytes that are sent in a second; unlimited when left out."`
	ReadTimeout    time.Duration   `hcl:"read_timeout,optional" default:"1m" doc:"How long the store may be silent in the middle of a request before it is tried again."`
	Patience       time.Duration   `hcl:"patience,optional" default:"3m" doc:"How long a store that is away, or refuses for the moment, is asked again."`
	CreateBucket   bool            `hcl:"create_bucket,optional" doc:"Create the container if it is missing."`
}

// credentials are the values of the setting credential, of Python Barman's
// option --azure-credential.
var credentials = []string{azureCLI, managedIdentity, defaultFlow}

const (
	azureCLI        = "azure-cli"
	managedIdentity = "managed-identity"
	defaultFlow     = "default"
)

// tiers are the access tiers that can be read at once. Archive cannot.
var tiers = []string{"Hot", "Cool", "Cold"}

// maxTags is how many index tags a blob has at most.
const maxTags = 10

// Validate reports every setting that cannot be used.
func (c *Config) Validate() schema.Diagnostics {
	var found schema.Diagnostics
	report := func(path, summary, format string, args ...any) {
		found = append(found, schema.Diagnostic{Path: path, Summary: summary, Detail: fmt.Sprintf(format, args...)})
	}
	if _, err := parseAddress(c.URL); err != nil {
		report("url", "Not the URL of a container", "%s.", err)
	}
	if c.Credential != "" && !slices.Contains(credentials, c.Credential) {
		report("credential", "Unknown credential", "%q is none of azure-cli, managed-identity and default.", c.Credential)
	}
	given := 0
	for _, set := range []bool{c.Credential != "", c.ConnectionString != "", c.SASToken != "", c.AccountKey != ""} {
		if set {
			given++
		}
	}
	if given > 1 {
		report("credential", "More than one credential", "Give one of credential, connection_string, sas_token and account_key.")
	}
	if c.AccessTier != "" && !slices.Contains(tiers, c.AccessTier) {
		report("access_tier", "Unknown access tier", "%q is none of Hot, Cool and Cold; what is in the tier Archive could not be restored at once.", c.AccessTier)
	}
	for path, tags := range map[string]map[string]string{"tags": c.Tags, "history_tags": c.HistoryTags} {
		if len(tags) > maxTags {
			report(path, "Too many tags", "A blob has at most %d tags, these are %d.", maxTags, len(tags))
		}
	}
	if c.PartSize < 0 || c.PartSize > maxBlock {
		report("part_size", "Invalid size", "A block has at most %s.", schema.ByteSize(maxBlock))
	}
	if c.SinglePutSize < 0 || c.SinglePutSize > maxPut {
		report("single_put_size", "Invalid size", "One request stores at most %s.", schema.ByteSize(maxPut))
	}
	if c.ParallelParts < 0 {
		report("parallel_parts", "Invalid number", "At least one request is sent at a time.")
	}
	return found
}

// options are what the sink is told that all providers have in common.
func (c *Config) options(place address, server string) bucket.Options {
	return bucket.Options{
		URL: place.url(), Layout: bucket.NewLayout(place.path, server),
		PartSize: int64(c.PartSize), SinglePut: int64(c.SinglePutSize), Parallel: c.ParallelParts, Patience: c.Patience, CreateBucket: c.CreateBucket,
	}
}
