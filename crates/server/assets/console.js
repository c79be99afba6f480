// The console's one script. Everything works without it; with it, times are the reader's, questions
// come in a dialog, and what changes on the server changes on the page.
//
// What comes over the stream is put into the page as text and attributes, never as markup. Whole
// regions are brought up to date from the page itself, fetched anew: what is in it has been escaped
// by the server, as at the first time.
'use strict';

const body = document.body;
const lang = document.documentElement.lang;
const icons = body.dataset.icons;

// ---- Times, in the reader's zone

const clock = new Intl.DateTimeFormat(lang, { timeStyle: 'medium', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
const exact = new Intl.DateTimeFormat(lang, { dateStyle: 'full', timeStyle: 'long', hourCycle: 'h23' });

// As the server writes them: the two largest units.
function passed(milliseconds) {
  const s = Math.max(0, Math.floor(milliseconds / 1000));
  const unit = (n, name) => `${n}\u00a0${name}`;
  if (s < 60) return unit(s, 's');
  const [d, h, m] = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60];
  if (s < 3600) return unit(m, 'min');
  const [large, small] = s < 86400 ? [unit(h, 'h'), m && unit(m, 'min')] : [unit(d, 'd'), h && unit(h, 'h')];
  return small ? `${large} ${small}` : large;
}

// The server's time less ours: a machine on the wall may be wrong.
const made = document.querySelector('.foot time');
const ahead = made ? Date.parse(made.dateTime) - Date.now() : 0;

function tell(time) {
  const at = new Date(time.dateTime);
  const today = at.toDateString() === new Date().toDateString();
  const styles = { ago: () => passed(Date.now() + ahead - at), time: () => clock.format(at), full: () => (today ? clock : day).format(at) };
  const text = styles[time.dataset.t]();
  if (time.textContent !== text) time.textContent = text;
  if (time.dataset.said !== time.dateTime) {
    time.dataset.said = time.dateTime;
    time.title = `${exact.format(at)} · ${time.dateTime}`;
  }
}

function tellAll(root) {
  root.querySelectorAll('time[data-t]').forEach(tell);
}

// ---- Forms

addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, select, textarea');
  const field = document.querySelector('[data-slash]');
  if (event.key !== '/' || typing || !field) return;
  event.preventDefault();
  field.focus();
});

// A form that is sent is not sent twice by a nervous hand.
addEventListener('submit', (event) => {
  const form = event.target;
  if (form.method !== 'post' || form.matches('[data-ask]')) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = '1';
});
addEventListener('pageshow', () => document.querySelectorAll('[data-sent]').forEach((form) => delete form.dataset.sent));

// ---- Questions: the page that asks, in a dialog

async function ask(address, how, otherwise) {
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: 'text/html' }, ...how });
  } catch {
    otherwise();
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const question = page.getElementById('ask');
  if (!question) {
    otherwise();
    return;
  }
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-labelledby', 'ask-h');
  dialog.append(document.adoptNode(question));
  dialog.addEventListener('close', () => dialog.remove());
  dialog.addEventListener('click', (event) => {
    if (!event.target.closest('[data-close]') && event.target !== dialog) return;
    event.preventDefault();
    dialog.close();
  });
  body.append(dialog);
  dialog.showModal();
}

addEventListener('click', (event) => {
  const link = event.target.closest('a[data-ask]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  ask(link.href, {}, () => location.assign(link.href));
});
addEventListener('submit', (event) => {
  const form = event.target.closest('form[data-ask]');
  if (!form) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form));
  // What may be a secret is in no address.
  if (form.method === 'post') ask(form.action, { method: 'POST', body: fields }, () => form.submit());
  else ask(`${form.action}?${fields}`, {}, () => form.submit());
});

// ---- Regions, brought up to date in place

// What tells an element from its siblings, wherever among them it comes to stand.
const key = (node) => node.id || node.dataset?.key || node.dataset?.station || '';

// Makes one element like another, touches only what differs, and gives what then stands there. What
// has a key is the same as long as its key is there, whatever comes before it: so what has the focus
// keeps it and leads where it led, and what is open stays open.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return old;
  if (old.nodeName !== fresh.nodeName || key(old) !== key(fresh)) {
    old.replaceWith(fresh);
    return fresh;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return old;
  }
  for (const { name } of [...old.attributes]) {
    const mine = name === 'open' || name === 'data-said' || (old.nodeName === 'TIME' && name === 'title');
    if (!mine && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    const mine = old.nodeName === 'TIME' && name === 'title' && old.dateTime === fresh.dateTime;
    if (!mine && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const [keyed, plain] = [new Map(), []];
  old.childNodes.forEach((node) => (key(node) ? keyed.set(key(node), node) : plain.push(node)));
  const children = [...fresh.childNodes].map((node) => {
    const have = key(node) ? keyed.get(key(node)) : plain.shift();
    keyed.delete(key(node));
    return have ? become(have, node) : node;
  });
  arrange(old, children);
  return old;
}

// Gives an element these children in this order. The one with the focus would lose it if it were
// moved, so the others move around it. If it goes, the focus passes to a link that stands where it
// stood, or before it.
function arrange(parent, children) {
  const wanted = new Set(children);
  const left = [...parent.children].findIndex((node) => !wanted.has(node) && node.contains(document.activeElement));
  [...parent.childNodes].filter((node) => !wanted.has(node)).forEach((node) => node.remove());
  const held = children.find((node) => node.contains(document.activeElement));
  let next = parent.firstChild;
  for (const child of children) {
    while (child === held && next !== held) {
      const other = next;
      next = other.nextSibling;
      parent.append(other);
    }
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
  }
  const before = [...parent.children].slice(0, left + 1).reverse();
  const links = before.map((node) => (node.matches('a') ? node : node.querySelector('a')));
  links.find(Boolean)?.focus({ preventScroll: true });
}

let busy = false;
let again = false;

async function refresh() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: 'text/html' } });
    if (answer.redirected) {
      location.reload();
      return;
    }
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const region of document.querySelectorAll('[data-live][id]')) {
      const fresh = page.getElementById(region.id);
      // Forms somebody may be filling in are left alone until what they are for has changed.
      const same = region.dataset.when && region.dataset.when === fresh?.dataset.when;
      if (fresh && !same) become(region, document.adoptNode(fresh));
    }
    document.title = page.title;
    tellAll(document);
  } catch {
    // The stream says that the connection is lost; when it is back, this is done again.
  } finally {
    busy = false;
    if (again) {
      again = false;
      soon();
    }
  }
}

let waiting = 0;
let last = 0;

// Soon, but not more often than the page wants.
function soon() {
  if (waiting) return;
  const rest = Math.max(0, last + body.dataset.every * 1000 - Date.now());
  waiting = setTimeout(() => {
    waiting = 0;
    last = Date.now();
    refresh();
  }, rest);
}

// ---- What comes over the stream

function state(element, status, word) {
  element.className = `state s-${status}`;
  element.querySelector('use').setAttribute('href', `${icons}#${status}`);
  element.lastElementChild.textContent = word;
}

function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function change(station) {
  const row = document.querySelector(`tr[data-station="${CSS.escape(station.id)}"]`);
  if (!row) return;
  const shown = row.querySelector('.state');
  if (!shown.classList.contains(`s-${station.status}`)) {
    state(shown, station.status, station.word);
    row.classList.remove('fresh');
    requestAnimationFrame(() => row.classList.add('fresh'));
  }
  put(row.querySelector('[data-free]'), String(station.free));
  put(row.querySelector('[data-all]'), String(station.all));
  const since = row.querySelector('time');
  if (since && since.dateTime !== station.since) {
    since.dateTime = station.since;
    tell(since);
  }
}

const number = new Intl.NumberFormat(lang);

function take(now) {
  for (const [status, count] of Object.entries(now.stations)) {
    document.querySelectorAll(`[data-count="${status}"]`).forEach((it) => put(it, number.format(count)));
  }
  for (const [status, count] of Object.entries(now.connectors)) {
    document.querySelectorAll(`[data-connectors="${status}"]`).forEach((it) => put(it, number.format(count)));
  }
  const title = document.title.replace(/^\(\d+\) /, '');
  document.title = now.trouble ? `(${now.trouble}) ${title}` : title;
  now.changes.forEach(change);
}

// ---- The stream

const light = document.getElementById('live');
let banner = null;
let heard = Date.now();
let seen = 0;
let source = null;

function lost() {
  light.classList.remove('on');
  light.textContent = body.dataset.sayOld;
  if (banner) return;
  banner = document.createElement('p');
  banner.className = 'banner';
  banner.id = 'lost';
  banner.setAttribute('role', 'alert');
  banner.textContent = body.dataset.sayLost.replace('{time}', clock.format(heard));
  document.querySelector('.bar').after(banner);
}

function back() {
  heard = Date.now();
  if (light.classList.contains('on')) return;
  light.classList.add('on');
  light.textContent = body.dataset.sayBack;
  if (banner) {
    banner.remove();
    banner = null;
    refresh();
  }
}

function open(address) {
  source = new EventSource(address);
  source.addEventListener('now', (event) => {
    back();
    const now = JSON.parse(event.data);
    take(now);
    const mine = !address.includes('of=') || address.includes('of=nothing') || now.changes.length + now.gone.length > 0;
    if ((seen && now.seq !== seen && mine) || now.anew || now.changes.length + now.gone.length > 0) soon();
    seen = now.seq;
  });
  source.addEventListener('alive', back);
  source.addEventListener('out', () => location.reload());
  source.addEventListener('error', () => {
    lost();
    // The browser comes back by itself, unless it was refused: signed out, perhaps.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => refresh().then(reopen), 5000);
  });
}

function reopen() {
  source.close();
  const from = seen ? body.dataset.follow.replace(/after=\d+/, `after=${seen}`) : body.dataset.follow;
  open(from);
}

tellAll(document);
setInterval(() => document.querySelectorAll('time[data-t="ago"]').forEach(tell), 10000);

// Who is not signed in has nothing to follow.
if (light) {
  open(body.dataset.follow);
  // The server says something every few seconds. If it does not, the line is cut without a word.
  setInterval(() => {
    if (Date.now() - heard < 20000) return;
    lost();
    if (source.readyState !== EventSource.CONNECTING) reopen();
    heard = Date.now() - 10000;
  }, 2000);
  setInterval(() => {
    const often = document.querySelector('[data-refresh]');
    if (often && !document.hidden && Date.now() - last > often.dataset.refresh * 1000) {
      last = Date.now();
      refresh();
    }
  }, 1000);
}
