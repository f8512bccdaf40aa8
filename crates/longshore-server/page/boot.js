// A file that did not come is asked for again. Where containers come and go the computer's network changes each time, and browsers then
// break off what they load, even from this computer (ERR_NETWORK_CHANGED); a module that does not come is a page that does nothing. If
// it is this file that did not come, the document has a link.
let again = false;
addEventListener("error", ({ target }) => {
  if (again || !(target instanceof HTMLScriptElement || target instanceof HTMLLinkElement)) return;
  const tries = Number(sessionStorage.getItem("tries"));
  if (tries === 6) return;
  again = true;
  sessionStorage.setItem("tries", tries + 1);
  setTimeout(() => location.reload(), 100 * 2 ** tries);
}, true);
