// Package backupapi is PostgreSQL's low-level base backup API (PostgreSQL
// manual, section 26.3.4, "Making a Base Backup Using the Low Level API") over
// one ordinary connection that is held from start to stop.
//
//	session, err := backupapi.Connect(ctx, server.Conninfo, "barman_backup")
//	…
//	defer session.Close()
//	begin, err := session.Start(ctx, backupapi.StartOptions{Label: label, Fast: true})
//	…
//	err = session.During(ctx, backupapi.DefaultKeepAlive, copyEverything)
//	…
//	end, err := session.Stop(ctx)
//
// The backup is non-exclusive: the server ends it by itself, and is left as it
// was, when the connection goes before Stop, for whatever reason.
//
// # Grants
//
// The user needs to read all settings and to call the functions:
//
//	GRANT pg_read_all_settings TO barman;
//	GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO barman;           -- PostgreSQL 15 and later
//	GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO barman;
//	GRANT EXECUTE ON FUNCTION pg_start_backup(text, boolean, boolean) TO barman;  -- PostgreSQL 10 to 14
//	GRANT EXECUTE ON FUNCTION pg_stop_backup(boolean, boolean) TO barman;
//
// pg_control_system() is everybody's unless somebody revoked that.
package backupapi
