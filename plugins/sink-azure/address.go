package main

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/barman-go/barman/sdk"
)

// address is where a container is.
type address struct {
	// account is the storage account's name.
	account string
	// service is the URL of the account's blob service, without a slash at its end.
	service string
	// container is the container's name.
	container string
	// path is what follows the container in the URL, without slashes at its ends.
	path string
}

// clouds are the hosts of Azure's blob services, each below the account's name.
var clouds = []string{
	".blob.core.windows.net", ".blob.core.usgovcloudapi.net", ".blob.core.chinacloudapi.cn", ".blob.storage.azure.net",
}

// Names of containers: Microsoft's "Naming and referencing containers, blobs, and
// metadata".
var containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$`)

// parseAddress reads https://<account>.blob.core.windows.net/<container>[/<path>],
// or the form of an emulator, http://<host>[:<port>]/<account>/<container>[/<path>].
// An error is of kind Invalid, and shows nothing that may be secret.
func parseAddress(text string) (address, error) {
	wrong := func(format string, args ...any) (address, error) {
		const forms = "; write https://<account>.blob.core.windows.net/<container>[/<path>], or http://<host>:<port>/<account>/<container>[/<path>] for an emulator"
		return address{}, sdk.Errorf(sdk.Invalid, "the URL of the container "+format+forms, args...)
	}
	if strings.Contains(text, "?") {
		return wrong("has a query: a SAS token belongs into AZURE_STORAGE_SAS_TOKEN or the setting sas_token")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return wrong("cannot be read") // the error would show all of it
	case u.User != nil:
		return wrong("has a user or a password in it: an account's key belongs into AZURE_STORAGE_KEY or the setting account_key")
	case u.Scheme != "https" && u.Scheme != "http":
		return wrong("%q does not begin with https:// or http://", u.Redacted())
	case u.Hostname() == "":
		return wrong("%q has no host", u.Redacted())
	case u.Fragment != "":
		return wrong("%q has a # in it", u.Redacted())
	}
	a := address{service: u.Scheme + "://" + u.Host}
	path := strings.TrimPrefix(u.Path, "/")
	if account, ok := accountOf(u.Hostname()); ok {
		a.account = account
	} else {
		a.account, path, _ = strings.Cut(path, "/")
		a.service += "/" + a.account
	}
	a.container, path, _ = strings.Cut(path, "/")
	a.path = strings.Trim(path, "/")
	switch {
	case a.account == "":
		return wrong("%q names no storage account", u.Redacted())
	case a.container == "":
		return wrong("%q names no container", u.Redacted())
	case !containerName.MatchString(a.container) || len(a.container) > 63:
		return wrong("%q: %q cannot be a container: its name has 3 to 63 lower case letters, digits and single hyphens", u.Redacted(), a.container)
	}
	return a, nil
}

// accountOf returns the account that a host of Azure belongs to.
func accountOf(host string) (string, bool) {
	for _, cloud := range clouds {
		if account, ok := strings.CutSuffix(strings.ToLower(host), cloud); ok {
			// An account with a zone of its own: <account>.z01.blob.storage.azure.net.
			account, _, _ = strings.Cut(account, ".")
			return account, true
		}
	}
	return "", false
}

// url is the URL of the container.
func (a address) url() string { return a.service + "/" + a.container }
