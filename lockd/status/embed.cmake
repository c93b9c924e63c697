# cmake -DOUT=page.cc -DFROM=directory -P embed.cmake: page.html, page.css and page.js as text in a source file.
set(text "#include \"lockd/status/page.h\"\n\nnamespace holdfast::lockd::status {\n")
foreach(kind Html Css Js)
  string(TOLOWER ${kind} extension)
  file(READ ${FROM}/page.${extension} content)
  string(APPEND text "const std::string_view kPage${kind} = R\"holdfast(${content})holdfast\";\n")
endforeach()
string(APPEND text "}  // namespace holdfast::lockd::status\n")
file(WRITE ${OUT} "${text}")
