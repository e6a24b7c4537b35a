package postgres

import "context"

// Privileges are those of the connected user.
type Privileges struct {
	Superuser   bool
	Replication bool // the role attribute; superusers may replicate without it
	// Functions: EXECUTE on the functions that start and stop a backup, switch
	// WAL and create a restore point.
	Functions bool
	// Monitoring: pg_monitor, or pg_read_all_settings with pg_read_all_stats.
	Monitoring bool
	// Checkpoint: may issue CHECKPOINT (superuser, or pg_checkpoint from
	// PostgreSQL 15).
	Checkpoint bool
}

// Backup tells whether the user may take backups.
func (p Privileges) Backup() bool { return p.Superuser || p.Functions && p.Monitoring }

// Functions that a server does not have give NULL; those for starting and
// stopping a backup were renamed in PostgreSQL 15.
const privilegesSQL = `SELECT r.rolsuper, r.rolreplication,
	coalesce(has_function_privilege(to_regprocedure('pg_backup_start(text,boolean)'), 'EXECUTE'),
		has_function_privilege(to_regprocedure('pg_start_backup(text,boolean,boolean)'), 'EXECUTE'), false)
	AND coalesce(has_function_privilege(to_regprocedure('pg_backup_stop(boolean)'), 'EXECUTE'),
		has_function_privilege(to_regprocedure('pg_stop_backup(boolean,boolean)'), 'EXECUTE'), false)
	AND has_function_privilege('pg_switch_wal()', 'EXECUTE')
	AND has_function_privilege('pg_create_restore_point(text)', 'EXECUTE'),
	pg_has_role('pg_monitor', 'USAGE')
	OR pg_has_role('pg_read_all_settings', 'USAGE') AND pg_has_role('pg_read_all_stats', 'USAGE'),
	r.rolsuper OR EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'pg_checkpoint' AND pg_has_role(p.oid, 'USAGE'))
	FROM pg_roles r WHERE r.rolname = current_user`

// Privileges asks the server what the user may do.
func (c *Conn) Privileges(ctx context.Context) (Privileges, error) {
	var p Privileges
	err := c.one(ctx, "read the user's privileges", privilegesSQL, &p.Superuser, &p.Replication, &p.Functions, &p.Monitoring, &p.Checkpoint)
	return p, err
}
