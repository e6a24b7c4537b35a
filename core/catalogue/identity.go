package catalogue

import (
	"encoding/json"
	"path/filepath"

	"github.com/barman-go/barman/core/durable"
	"github.com/barman-go/barman/sdk"
)

// Identity says which cluster the catalogue belongs to.
type Identity struct {
	// SystemID is the system identifier that initdb gave the cluster, in decimal.
	SystemID string `json:"systemid"`
	// Version is the server's major version, such as "17".
	Version string `json:"version"`
}

func (s *Server) identityPath() string {
	return filepath.Join(s.layout.BackupDirectory, "identity.json")
}

// ReadIdentity returns what identity.json says. Before the first backup there
// is none, which is an error of kind NotFound.
func (s *Server) ReadIdentity() (Identity, error) {
	path := s.identityPath()
	content, err := readFile(path, 1<<20)
	if err != nil {
		return Identity{}, s.wrap(err)
	}
	var id Identity
	if err := json.Unmarshal(content, &id); err != nil || id.SystemID == "" {
		return Identity{}, s.errorf(sdk.Corrupt, "%s does not tell the cluster's systemid (%v): remove the file if the backups are of the right cluster, the next backup writes it anew", path, err)
	}
	return id, nil
}

// WriteIdentity records the cluster at its first backup. An identity already
// recorded stays as it is; one of another cluster is an error of kind Exists,
// because backups of two clusters in one catalogue share one WAL archive and
// ruin it. The backup lock must be held.
func (s *Server) WriteIdentity(id Identity) error {
	if id.SystemID == "" {
		return s.errorf(sdk.Invalid, "the cluster's system identifier is not known")
	}
	current, err := s.ReadIdentity()
	if err == nil {
		if current.SystemID != id.SystemID {
			return s.errorf(sdk.Exists, "%s belongs to the cluster with system identifier %s, the server's is %s: use another server name or backup directory for a new cluster",
				s.layout.BackupDirectory, current.SystemID, id.SystemID)
		}
		return nil
	}
	if sdk.KindOf(err) != sdk.NotFound {
		return err
	}
	content, err := json.MarshalIndent(id, "", "    ")
	if err != nil {
		return s.wrap(err)
	}
	if err := durable.MakeDirectory(s.layout.BackupDirectory); err != nil {
		return s.wrap(err)
	}
	if err := durable.WriteFile(s.identityPath(), append(content, '\n'), fileMode); err != nil {
		return s.wrap(err)
	}
	return nil
}
