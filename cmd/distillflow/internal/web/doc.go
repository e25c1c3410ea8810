// Package web serves what a store remembers as pages: runs, one run as it goes on, and
// the records of its outputs, made for reading what models wrote.
//
//	s, err := web.New(web.Options{Store: st, Registry: reg})
//	http.Serve(listener, s.Handler())   // http://HOST/?token= and s.Token()
//
// The guard stands before every page: it checks Host and Origin, trades the token for a
// cookie, forbids frames, and sends a content security policy without inline script or
// style. Nothing changes by GET. What models wrote goes through html/template as text;
// the page's script renders formulas in it afterwards, from the text, never from HTML.
//
// Pages of records are found by streaming through an output, so that memory does not grow
// with it; where a page ends is in the address of the next one.
package web
