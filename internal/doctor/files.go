package doctor

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// matchFile looks for the files on this machine, where the site's root is
// known and there.
func (w *walk) matchFile(raw json.RawMessage, st *state) verdict {
	m := struct {
		FS       string   `json:"fs"`
		Root     string   `json:"root"`
		TryFiles []string `json:"try_files"`
		Policy   string   `json:"try_policy"`
	}{Root: "{http.vars.root}", TryFiles: []string{"{http.request.uri.path}"}}
	if json.Unmarshal(raw, &m) != nil {
		return maybe
	}
	root, ok := w.expand(m.Root, st)
	if !ok || m.FS != "" || (m.Policy != "" && m.Policy != "first_exist" && m.Policy != "first_exist_fallback") || !isDir(root) {
		st.relative = unknown
		return maybe
	}
	for i, file := range m.TryFiles {
		// An error code ends the request as an error would.
		if code, ok := strings.CutPrefix(file, "="); ok {
			if _, err := strconv.Atoi(code); err == nil {
				st.failed = "try_files " + file
				return yes
			}
		}
		name, ok := w.expand(file, st)
		if !ok || strings.ContainsAny(name, "*?[") {
			st.relative = unknown
			return maybe
		}
		last := m.Policy == "first_exist_fallback" && i == len(m.TryFiles)-1
		full := filepath.Join(root, filepath.FromSlash(path.Clean("/"+name)))
		info, err := os.Stat(full)
		if last || w.sought(full) || (err == nil && info.IsDir() == strings.HasSuffix(name, "/")) {
			st.relative = name
			return yes
		}
	}
	return no
}

// sought reports whether it is the file that is looked for, which counts as
// there: it may be made later.
func (w *walk) sought(name string) bool {
	name, err := filepath.Abs(name)
	return err == nil && name == w.file
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// checkFiles looks for files of the site that the shop hides, or seems to.
func (x *examination) checkFiles(s *shop, root string) {
	if root == "" || root == unknown {
		return
	}
	file := filepath.Join(root, filepath.FromSlash(s.Path))
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return // the root is on another machine
	}
	base := filepath.Base(file)
	for _, e := range entries {
		switch name := e.Name(); {
		case name == base:
			x.find(s, Warning, "files-hidden",
				"The site has files at "+file+", but the shop answers everything below "+s.Path+", so nobody ever sees them.",
				"Rename the files, or give the shop another address:\n\npath /pay")
		case strings.HasPrefix(name, base+"."):
			x.find(s, Note, "files-similar",
				"The site has a file "+name+" beside the shop's path "+s.Path+". It is served under its whole name; "+s.Path+" is the shop.", "")
		}
	}
}
