package postgres

// CheckDSN reports a dsn that [Open] cannot read. It connects to nothing, and
// its error does not quote the dsn, which may hold a password.
func CheckDSN(dsn string) error {
	_, err := parse(dsn)
	return err
}
