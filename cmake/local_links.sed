# Doxygen's filter for README.md and ABI.md: of a link inside the tree (to a heading or a file, so without a colon) only
# its text is left. Doxygen finds neither headings by the names that Git hosts give them nor files that are no pages.
s/\[([^][]*)\]\([^():]*\)/\1/g
