package main

import (
	"cmp"
	"net/http"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/barman-go/barman/sdk"
)

// login is what the container is opened with, and where that comes from, for
// people: "the key in AZURE_STORAGE_KEY". Exactly one of the others is set.
type login struct {
	source string

	connectionString string
	sasToken         string
	key              string
	flow             string // one of credentials
}

// findLogin chooses what to use, in the order of Python Barman: the credential that
// is asked for, then a connection string, a shared access signature, a key, then
// whatever Azure's libraries find. The settings come before the environment.
func findLogin(c *Config, environment func(string) string) login {
	if c.Credential != "" {
		return login{source: "the credential " + c.Credential, flow: c.Credential}
	}
	for _, from := range []struct {
		values [3]string
		names  [3]string
	}{
		{
			[3]string{c.ConnectionString.Reveal(), c.SASToken.Reveal(), c.AccountKey.Reveal()},
			[3]string{"the setting connection_string", "the setting sas_token", "the setting account_key"},
		},
		{
			[3]string{environment("AZURE_STORAGE_CONNECTION_STRING"), environment("AZURE_STORAGE_SAS_TOKEN"), environment("AZURE_STORAGE_KEY")},
			[3]string{"AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_KEY"},
		},
	} {
		switch v := from.values; {
		case v[0] != "":
			return login{source: "the connection string in " + from.names[0], connectionString: strings.TrimSpace(v[0])}
		case v[1] != "":
			return login{source: "the SAS token in " + from.names[1], sasToken: strings.TrimPrefix(strings.TrimSpace(v[1]), "?")}
		case v[2] != "":
			return login{source: "the key in " + from.names[2], key: strings.TrimSpace(v[2])}
		}
	}
	return login{source: "the default credentials of Azure", flow: defaultFlow}
}

// client opens a container, with the encryption scope of its blocks, if any. No
// request is sent. An error is of kind Invalid or Denied.
func (l login) client(place address, transport *http.Client, scope string) (*container.Client, error) {
	// One attempt for each request: package bucket tries again.
	options := azcore.ClientOptions{Transport: transport, Retry: policy.RetryOptions{MaxRetries: -1}}
	blobs := &container.ClientOptions{ClientOptions: options}
	blobs.PerCallPolicies = []policy.Policy{scopedBlocks(scope)}
	switch {
	case l.connectionString != "":
		return l.fromConnectionString(place, blobs)
	case l.sasToken != "":
		client, err := container.NewClientWithNoCredential(place.url()+"?"+l.sasToken, blobs)
		return client, l.unusable(err)
	case l.key != "":
		key, err := container.NewSharedKeyCredential(place.account, l.key)
		if err != nil {
			return nil, sdk.Errorf(sdk.Invalid, "%s is not the key of a storage account: it is no base64", l.source)
		}
		client, err := container.NewClientWithSharedKeyCredential(place.url(), key, blobs)
		return client, l.unusable(err)
	}
	token, err := l.token(options)
	if err != nil {
		return nil, sdk.Errorf(sdk.Denied, "%s cannot be used: %s", l.source, oneLine(err.Error()))
	}
	client, err := container.NewClient(place.url(), token, blobs)
	return client, l.unusable(err)
}

// unusable is for errors of the library that may show what they are about.
func (l login) unusable(err error) error {
	if err == nil {
		return nil
	}
	return sdk.Errorf(sdk.Invalid, "%s cannot be used with this URL: check both", l.source)
}

// fromConnectionString opens the container at the endpoint that the connection
// string names, as Python Barman does. Its account must be that of the URL.
func (l login) fromConnectionString(place address, options *container.ClientOptions) (*container.Client, error) {
	for _, field := range strings.Split(l.connectionString, ";") {
		if account, ok := strings.CutPrefix(field, "AccountName="); ok && account != place.account {
			return nil, sdk.Errorf(sdk.Invalid, "%s is for the storage account %q, the URL names %q: use those of one account", l.source, account, place.account)
		}
	}
	client, err := container.NewClientFromConnectionString(l.connectionString, place.container, options)
	if err != nil {
		return nil, sdk.Errorf(sdk.Invalid, "%s cannot be read: copy it from the access keys of the storage account; it looks like "+
			"DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net", l.source)
	}
	return client, nil
}

// token makes a source of tokens.
func (l login) token(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	// Fetching a token is part of the request it is for, and tried again with it.
	switch l.flow {
	case azureCLI:
		return azidentity.NewAzureCLICredential(nil)
	case managedIdentity:
		identity := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
			identity.ID = azidentity.ClientID(id)
		}
		return azidentity.NewManagedIdentityCredential(identity)
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
}

// oneLine makes one line of a text that libraries lay out in many.
func oneLine(text string) string {
	return cmp.Or(strings.Join(strings.Fields(text), " "), "no reason given")
}
