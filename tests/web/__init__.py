# A package to pytest, so that what is of scope "package" ends with it: Playwright's event loop runs in pytest's own
# thread for as long as it lives, and no later test could run one of its own.
