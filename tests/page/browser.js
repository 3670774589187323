// What the page's modules read of a browser when they are imported. Requests never get an answer.
globalThis.document ??= { baseURI: "http://cloze.test/" };
globalThis.location ??= { hash: "" };
globalThis.addEventListener ??= () => {};
globalThis.fetch = () => new Promise(() => {});
