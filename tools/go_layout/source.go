// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// runtimeSource is what is taken from the sources of package runtime: where each field stands, and texts that DWARF
// does not have.
type runtimeSource struct {
	lines          map[string]string // "mheap", "mheap.pages" -> "mheap.go:63"
	fieldTypes     map[string]string // "mheap.pages" -> "pageAlloc"
	waitReasons    map[string]string // "waitReasonChanSend" -> "chan send"
	waitReasonsAt  string
	specialKinds   map[string]int
	specialKindsAt string
}

func parseRuntime(goroot string) (*runtimeSource, error) {
	dir := filepath.Join(goroot, "src", "runtime")
	set := token.NewFileSet()
	packages, err := parser.ParseDir(set, dir, func(info fs.FileInfo) bool {
		return !strings.HasSuffix(info.Name(), "_test.go")
	}, 0)
	if err != nil {
		return nil, err
	}
	pkg, ok := packages["runtime"]
	if !ok {
		return nil, fmt.Errorf("no package runtime in %s", dir)
	}
	s := &runtimeSource{lines: map[string]string{}, fieldTypes: map[string]string{}, waitReasons: map[string]string{},
		specialKinds: map[string]int{}}
	at := func(pos token.Pos) string {
		p := set.Position(pos)
		return fmt.Sprintf("%s:%d", filepath.Base(p.Filename), p.Line)
	}
	for _, file := range pkg.Files {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for i, spec := range gen.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					s.addType(spec, at)
				case *ast.ValueSpec:
					s.addValue(spec, i, gen, at)
				}
			}
		}
	}
	return s, nil
}

func (s *runtimeSource) addType(spec *ast.TypeSpec, at func(token.Pos) string) {
	s.lines[spec.Name.Name] = at(spec.Pos())
	if st, ok := spec.Type.(*ast.StructType); ok {
		s.addFields(spec.Name.Name, st, at)
	}
}

func (s *runtimeSource) addFields(prefix string, st *ast.StructType, at func(token.Pos) string) {
	for _, f := range st.Fields.List {
		for _, name := range f.Names {
			key := prefix + "." + name.Name
			s.lines[key] = at(name.Pos())
			switch t := f.Type.(type) {
			case *ast.Ident:
				s.fieldTypes[key] = t.Name
			case *ast.StructType:
				s.addFields(key, t, at)
			}
		}
	}
}

func (s *runtimeSource) addValue(spec *ast.ValueSpec, index int, gen *ast.GenDecl, at func(token.Pos) string) {
	for _, name := range spec.Names {
		// _KindSpecialFinalizer = 1 ... are written with explicit values or counted by iota from the first.
		if strings.HasPrefix(name.Name, "_KindSpecial") {
			value := index
			if len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					value, _ = strconv.Atoi(lit.Value)
				} else if bin, ok := spec.Values[0].(*ast.BinaryExpr); ok && bin.Op == token.ADD {
					value = index + 1
				}
			} else if start, ok := gen.Specs[0].(*ast.ValueSpec); ok && len(start.Values) == 1 {
				if _, ok := start.Values[0].(*ast.BinaryExpr); ok {
					value = index + 1
				}
			}
			s.specialKinds[name.Name] = value
			if name.Name == "_KindSpecialProfile" {
				s.specialKindsAt = at(name.Pos())
			}
		}
		if name.Name == "waitReasonStrings" && len(spec.Values) == 1 {
			s.waitReasonsAt = at(name.Pos())
			lit, ok := spec.Values[0].(*ast.CompositeLit)
			if !ok {
				continue
			}
			for _, e := range lit.Elts {
				kv := e.(*ast.KeyValueExpr)
				text, _ := strconv.Unquote(kv.Value.(*ast.BasicLit).Value)
				s.waitReasons[kv.Key.(*ast.Ident).Name] = text
			}
		}
	}
}

// where names the line of a type, or of the innermost field of a path that is declared in package runtime.
func (s *runtimeSource) where(goType, path string) string {
	owner := strings.TrimPrefix(goType, "runtime.")
	line := s.lines[owner]
	if path == "" {
		return line
	}
	key := owner
	for _, name := range strings.Split(path, ".") {
		key += "." + name
		found, ok := s.lines[key]
		if !ok {
			return line + " (" + path + ")"
		}
		line = found
		if t, ok := s.fieldTypes[key]; ok {
			key = t
		}
	}
	return line + " " + path
}
