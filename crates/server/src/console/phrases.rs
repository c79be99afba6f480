//! Every phrase of the console, in both languages: one table, and nothing outside it but the words
//! of closed sets ([`super::words`]) and the sentences of events ([`super::tell`]).

use http::{HeaderMap, header};

use super::preferences::LANGUAGE;
use super::visit::cookie;

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Spanish.
    Es,
}

/// A phrase, before it is known in which language.
pub type Say = fn(&'static Phrases) -> &'static str;

/// Declares the phrases: a field for each, and the two languages. One that lacks a language does
/// not compile.
macro_rules! phrases {
    ($($name:ident: $en:literal, $es:literal;)+) => {
        /// Every phrase, in one language.
        #[derive(Debug)]
        pub struct Phrases { $(pub $name: &'static str),+ }

        static ENGLISH: Phrases = Phrases { $($name: $en),+ };
        static SPANISH: Phrases = Phrases { $($name: $es),+ };

        #[cfg(test)]
        const TABLE: &[(&str, &str, &str)] = &[$((stringify!($name), $en, $es)),+];
    };
}

impl Lang {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Es];

    /// The one that was chosen, or else the one that the browser likes best.
    pub fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, LANGUAGE).and_then(Self::from_word);
        let wanted = headers.get(header::ACCEPT_LANGUAGE);
        let wanted = wanted.and_then(|value| value.to_str().ok());
        chosen.unwrap_or_else(|| Self::liked(wanted.unwrap_or_default()))
    }

    /// The language liked best of those there are. English, if none is.
    fn liked(accept: &str) -> Self {
        let wish = |part: &str| {
            let (tag, quality) = part.split_once(";q=").unwrap_or((part, "1"));
            let primary = tag.trim().split('-').next().unwrap_or_default();
            let lang = Self::from_word(&primary.to_ascii_lowercase())?;
            let quality: f32 = quality.trim().parse().ok()?;
            Some((lang, quality))
        };
        let wishes = accept.split(',').filter_map(wish);
        // The first of those liked equally.
        let best = wishes.fold(None, |best: Option<(Self, f32)>, wish| match best {
            Some(best) if best.1 >= wish.1 => Some(best),
            _ => Some(wish),
        });
        best.filter(|(_, quality)| *quality > 0.0)
            .map_or(Self::En, |(lang, _)| lang)
    }

    /// Its code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Es => "es",
        }
    }

    /// The language of a code.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.as_str() == word)
    }

    /// Its name, in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Es => "Español",
        }
    }

    /// Whether it is this one.
    pub fn is(self, other: &Self) -> bool {
        self == *other
    }

    /// One of two texts.
    pub const fn pick<T: Copy>(self, english: T, spanish: T) -> T {
        match self {
            Self::En => english,
            Self::Es => spanish,
        }
    }

    /// Its phrases.
    pub fn phrases(self) -> &'static Phrases {
        match self {
            Self::En => &ENGLISH,
            Self::Es => &SPANISH,
        }
    }

    /// What stands before tenths.
    pub const fn decimal_point(self) -> char {
        self.pick('.', ',')
    }

    /// What stands between thousands.
    pub const fn group_mark(self) -> char {
        self.pick(',', '\u{a0}')
    }

    /// How many digits a number has at least whose thousands are set apart.
    pub const fn shortest_grouped(self) -> usize {
        self.pick(4, 5)
    }
}

phrases! {
    // Around every page.
    skip: "Skip to the content", "Saltar al contenido";
    navigation: "Pages", "Páginas";
    overview: "Overview", "Resumen";
    sessions: "Sessions", "Cargas";
    id_tags: "Id tags", "Tarjetas";
    journal: "Journal", "Diario";
    drills: "Drills", "Simulacros";
    tokens: "Tokens", "Tokens de acceso";
    about: "About", "Acerca de";
    sign_out: "Sign out", "Salir";
    language: "Language", "Idioma";
    theme: "Light or dark", "Claro u oscuro";
    theme_auto: "Auto", "Automático";
    theme_light: "Light", "Claro";
    theme_dark: "Dark", "Oscuro";
    made_at: "Updated:", "Actualizado:";
    you_are_here: "You are here", "Está aquí";
    pages: "More pages", "Más páginas";
    page_before: "Before", "Anterior";
    page_after: "Next", "Siguiente";
    first: "First", "Primera";
    newest: "Newest", "Más recientes";
    older: "Older", "Más antiguas";
    cancel: "Cancel", "Cancelar";
    done: "Done", "Hecho";
    remove: "Remove", "Eliminar";
    save: "Save", "Guardar";
    edit: "Edit", "Modificar";
    send: "Send", "Enviar";
    set: "Set", "Establecer";
    read: "Read", "Leer";
    show: "Show", "Mostrar";
    all: "All", "Todas";
    actions: "Actions", "Acciones";
    back: "Back", "Volver";
    to_overview: "To the overview", "Al resumen";
    live_lost: "The connection is lost. What you see is from {time}; trying to come back…", "Se ha perdido la conexión. Lo que ve es de las {time}; intentando recuperarla…";
    live_back: "Live", "En directo";
    live_old: "Not live", "Sin actualizar";

    // The sign-in.
    sign_in: "Sign in", "Entrar";
    signed_in: "You are signed in", "Sesión iniciada";
    sign_in_how: "With an access token, or by the link that the server printed when it started.", "Con un token de acceso, o con el enlace que el servidor mostró al arrancar.";
    sign_in_help: "No token? Whoever runs the server makes one:", "¿Sin token? Quien opera el servidor crea uno:";
    sign_in_wrong: "This access token is not known. It may have been revoked.", "No se reconoce este token de acceso. Puede que se haya revocado.";
    sign_in_link_used: "This link has been used, or is too old. Sign in with a token, or start the server anew for another link.", "Este enlace ya se usó o es demasiado antiguo. Entre con un token, o reinicie el servidor para obtener otro enlace.";
    sign_in_too_often: "Too many wrong attempts from this address. Wait a minute.", "Demasiados intentos fallidos desde esta dirección. Espere un minuto.";
    token: "Access token", "Token de acceso";

    // The overview.
    stations: "Stations", "Estaciones";
    station: "Station", "Estación";
    connectors: "Connectors", "Conectores";
    connector: "Connector", "Conector";
    charging_now: "Charging now", "Cargando ahora";
    power_now: "Power now", "Potencia ahora";
    energy_today: "Energy today", "Energía hoy";
    energy_today_means: "Since midnight UTC, with what runs now", "Desde la medianoche UTC, incluidas las cargas en curso";
    needs_a_person: "Needs a person", "Requiere atención";
    all_calm: "Nothing needs you now.", "Ahora nada requiere su atención.";
    more_stations: "Stations: {n} more", "Estaciones: {n} más";
    more_failed: "Commands failed: {n} more", "Órdenes fallidas: {n} más";
    more_unbilled: "Not ready to be billed: {n} more", "Aún no facturables: {n} más";
    n_connectors_faulted: "Connectors faulted: {n}", "Conectores averiados: {n}";
    changed_lately: "Changed lately", "Cambios recientes";
    nothing_yet: "Nothing yet.", "Nada todavía.";
    map: "Map", "Mapa";
    map_skip: "To the list", "Ir a la lista";
    map_all: "Whole map", "Mapa completo";
    map_unplaced: "Without a place on the map: {n}", "Sin ubicación en el mapa: {n}";
    map_cluster: "{n} stations", "{n} estaciones";
    map_cluster_trouble: "needing a person: {n}", "requieren atención: {n}";
    search: "Search", "Buscar";
    search_hint: "Name, id or address", "Nombre, id o dirección";
    state: "State", "Estado";
    every_state: "Every state", "Todos los estados";
    degraded: "Works in part", "Funciona en parte";
    sort: "Order", "Orden";
    sort_urgency: "Urgent first", "Urgentes primero";
    sort_name: "By name", "Por nombre";
    sort_id: "By id", "Por id";
    sort_since: "Changed last", "Último cambio";
    shown_of: "{from}–{to} of {n}", "{from}–{to} de {n}";
    of_all: "of {n} stations", "de {n} estaciones";
    none_found: "No station is so.", "Ninguna estación coincide.";
    address: "Address", "Dirección";
    free_connectors: "Free", "Libres";
    since: "since", "desde";
    since_when: "Since", "Desde";
    why: "Why", "Motivo";
    command_failed: "Command failed", "Orden fallida";
    not_billable: "Not ready to be billed", "Aún no facturable";

    // A station.
    evse: "EVSE", "EVSE";
    on_the_street: "On the street", "En la calle";
    connected: "Connected", "Conectada";
    not_connected: "Not connected", "No conectada";
    by_hand: "State set by hand", "Estado fijado a mano";
    last_seen: "last heard", "último contacto";
    taken_out: "Taken out of use by the operator", "Fuera de servicio por decisión del operador";
    station_reports: "The station itself reports", "La propia estación comunica";
    derived: "State", "Estado";
    reported: "Reported", "Comunicado";
    no_connectors: "It has no connectors yet.", "Aún no tiene conectores.";
    unlock: "Unlock", "Desbloquear";
    take_out: "Take out of use", "Poner fuera de servicio";
    put_back: "Put back into use", "Volver a poner en servicio";
    take_station_out: "Take the station out of use", "Poner la estación fuera de servicio";
    put_station_back: "Put the station back into use", "Volver a poner la estación en servicio";
    running_session: "Charging now", "Carga en curso";
    nobody_charges: "Nobody charges here now.", "Ahora no carga nadie aquí.";
    no_readings_yet: "No meter values yet.", "Aún no hay lecturas.";
    began: "Began", "Inicio";
    ended: "Ended", "Fin";
    which_ended: "Ended", "Terminadas";
    duration: "Duration", "Duración";
    stop_charging: "Stop charging", "Detener carga";
    start_charging: "Start charging", "Iniciar carga";
    commands: "Commands", "Órdenes";
    command: "Command", "Orden";
    ask_for: "Ask for", "Pedir";
    ask: "Ask", "Pedir";
    chargers_choice: "the charger’s choice", "a elección del cargador";
    restart: "Restart", "Reiniciar";
    restart_how: "Restart", "Reiniciar";
    more_commands: "More commands", "Más órdenes";
    key: "Key", "Clave";
    keys: "Configuration keys; none reads all", "Claves de configuración; en blanco, todas";
    value: "Value", "Valor";
    vendor: "Maker", "Fabricante";
    message: "Message", "Mensaje";
    data: "Content", "Contenido";
    clear_cache: "Forget the tags kept in the charger", "Borrar las tarjetas guardadas en el cargador";
    commands_offline: "The charger is not connected: it takes commands when it is.", "El cargador no está conectado: recibirá órdenes cuando lo esté.";
    commands_not_yours: "Giving commands needs the role operator.", "Dar órdenes requiere el rol de operación.";
    given_before: "Given before", "Órdenes anteriores";
    no_commands: "None given yet.", "Ninguna todavía.";
    waiting: "Waiting", "En espera";
    answer: "The charger’s answer", "Respuesta del cargador";
    timeline: "Timeline", "Cronología";
    whole_history: "Whole history", "Historial completo";
    history: "History", "Historial";
    station_gone: "The station was removed. Its history stays.", "La estación se eliminó. Su historial se conserva.";
    all_sessions: "All sessions", "Todas las cargas";
    no_sessions: "No charging sessions.", "No hay cargas.";
    billing: "Billing", "Facturación";
    billing_ready: "Ready to be billed", "Facturable";
    charger: "Charger", "Cargador";
    model: "Model", "Modelo";
    serial: "Serial number", "Número de serie";
    firmware: "Firmware", "Firmware";
    protocol: "Protocol", "Protocolo";
    credentials: "Credentials", "Credenciales";
    profile: "Set, security profile {n}", "Establecidas, perfil de seguridad {n}";
    no_credentials: "None set: a charger that presents none is let in only where that is allowed", "Sin establecer: un cargador sin credenciales solo entra donde se permite";
    entered: "Entered", "Alta";
    make_password: "Make a new password", "Crear nueva contraseña";
    new_password: "New password", "Nueva contraseña";
    new_password_how: "Enter it at the charger as AuthorizationKey. A connection that stands now stays.", "Introdúzcala en el cargador como AuthorizationKey. La conexión actual se mantiene.";
    shown_once: "It is shown this once. Copy it now.", "El secreto se muestra solo esta vez. Cópielo ahora.";
    shown_before: "This form was sent twice. The secret was shown the first time, and cannot be shown again.", "Este formulario se envió dos veces. El secreto se mostró la primera vez y no puede mostrarse de nuevo.";

    // Questions before harm.
    ask_take_out: "Take out of use: {name}?", "¿Poner fuera de servicio {name}?";
    ask_take_out_means: "Nobody can begin to charge there until it is put back. What is charging now goes on if the charger lets it.", "Nadie podrá empezar a cargar ahí hasta que vuelva a ponerse en servicio. La carga en curso continúa si el cargador lo permite.";
    ask_put_back: "Put back into use: {name}?", "¿Volver a poner en servicio {name}?";
    ask_put_back_means: "Vehicles can charge there again, as far as the hardware works.", "Los vehículos podrán cargar ahí de nuevo, si el equipo funciona.";
    ask_credentials: "Make a new password for {name}?", "¿Crear nueva contraseña para {name}?";
    ask_credentials_means: "The one it has now is worth nothing from then on: once its connection ends, the charger is refused until it presents the new one.", "La actual deja de valer: cuando termine su conexión, el cargador será rechazado hasta que presente la nueva.";
    ask_reset_soft_means: "The charger ends what runs, then restarts. It is away for a minute or two.", "El cargador termina lo que está en curso y se reinicia. No estará disponible durante uno o dos minutos.";
    ask_reset_hard_means: "The charger restarts at once: whoever is charging is cut off. It is away for a minute or two.", "El cargador se reinicia de inmediato: a quien esté cargando se le corta la carga. No estará disponible durante uno o dos minutos.";
    ask_stop_means: "The driver’s charging ends now.", "La carga del conductor termina ahora.";
    ask_unlock_means: "The cable is released. A session that runs there ends.", "Se libera el cable. Si ahí hay una carga en curso, termina.";
    ask_configuration_means: "A wrong value can make the charger unreachable.", "Un valor equivocado puede dejar el cargador inaccesible.";
    ask_clear_means: "While it is offline, the charger will not know any tag.", "Mientras esté sin conexión, el cargador no conocerá ninguna tarjeta.";
    ask_command: "{what} — {name}?", "¿{what} — {name}?";
    ask_command_means: "The charger is asked to do it now.", "Se pide al cargador que lo haga ahora.";
    ask_tag_delete: "Remove the tag {name}?", "¿Eliminar la tarjeta {name}?";
    ask_tag_delete_means: "Its holder is refused from now on, as unknown.", "Su titular será rechazado desde ahora, como desconocido.";
    ask_entry_delete: "Remove the entry “{name}”?", "¿Eliminar la nota «{name}»?";
    ask_entry_delete_means: "It is gone, with everything that was read out of it.", "Desaparece, junto con sus análisis.";
    ask_revoke: "Revoke the token “{name}”?", "¿Revocar el token «{name}»?";
    ask_revoke_means: "Whoever uses it is refused at once, and signed out here.", "Quien lo use será rechazado de inmediato, y se cerrará su sesión aquí.";
    ask_abort: "End the drill now?", "¿Terminar el simulacro ahora?";
    ask_abort_means: "Its load is gone within moments.", "Su carga desaparece en unos momentos.";

    // The story.
    story: "Story", "Relato";
    tell_story: "Tell the story", "Relatar lo ocurrido";
    days_back: "Days back", "Días atrás";
    last_n_days: "The last {n} days", "Los últimos {n} días";
    told_by: "Told by:", "Relatado por:";
    what_happened: "What happened", "Qué pasó";
    likely_cause: "Likely cause", "Causa probable";
    next_step: "Next step", "Siguiente paso";
    nothing_to_say: "Nothing to say.", "Nada que decir.";
    rests_on: "It rests on", "Se basa en";
    event: "Event", "Suceso";
    entry: "Journal entry", "Nota del diario";

    // Sessions.
    session: "Charging session", "Carga";
    which: "Which", "Cuáles";
    energy: "Energy", "Energía";
    power: "Power", "Potencia";
    power_and_energy: "Power and energy", "Potencia y energía";
    curve_says: "Power up to {power}, energy {energy}", "Potencia de hasta {power}, energía {energy}";
    curve_time: "Time since the begin", "Tiempo desde el inicio";
    in_numbers: "In numbers", "En números";
    when: "When", "Cuándo";
    facts: "Facts", "Datos";
    why_ended: "Ended by", "Motivo del fin";
    transaction: "Transaction", "Transacción";
    meter_start: "Meter at the begin", "Contador al inicio";
    meter_stop: "Meter at the end", "Contador al final";
    why_not_billable: "What keeps it from being billed", "Qué impide facturarla";

    // Id tags.
    id_tag: "Id tag", "Tarjeta";
    id_tags_are: "Who may charge. A tag that is not here is refused.", "Quién puede cargar. Se rechaza toda tarjeta que no esté aquí.";
    tag_enter: "Enter a tag", "Dar de alta una tarjeta";
    tag_change: "Change the tag", "Modificar la tarjeta";
    tag_known: "This tag is entered already, as you see it here. Nothing was changed.", "Esta tarjeta ya está dada de alta, tal como la ve aquí. No se cambió nada.";
    status: "Status", "Estado";
    expires: "Expires", "Caduca";
    expires_utc: "Expires (UTC), if it does", "Fecha de caducidad (UTC), si la tiene";
    parent_tag: "Tag of its group, if any", "Tarjeta de su grupo, si la hay";
    changed: "Changed", "Modificada";
    never: "never", "nunca";
    no_tags: "No tags yet.", "Aún no hay tarjetas.";

    // The journal.
    journal_is: "What was worked on, what was hard, what comes next.", "En qué se trabajó, qué costó, qué sigue.";
    write: "Write", "Escribir";
    write_it: "Write it down", "Anotar";
    work: "What was worked on", "En qué se trabajó";
    struggle: "What was hard", "Qué costó";
    intention: "What comes next", "Qué sigue";
    station_if_any: "Station’s id, if it is about one", "Id de la estación, si trata de una";
    entries: "Entries", "Notas";
    all_entries: "All entries", "Todas las notas";
    no_entries: "No entries yet.", "Aún no hay notas.";
    about_station: "About", "Sobre";
    analysis: "Analysis", "Análisis";
    analyze: "Analyse", "Analizar";
    analyze_again: "Analyse again", "Analizar de nuevo";
    no_analysis: "Not analysed yet.", "Aún sin analizar.";
    of_older_text: "of an older text", "de un texto anterior";
    read_by: "Read by:", "Analizado por:";

    // Tokens.
    tokens_are: "Who may use the API and this console. A token is shown once and stored hashed.", "Quién puede usar la API y esta consola. Un token se muestra una vez; solo se guarda su hash.";
    token_make: "Make a token", "Crear un token";
    token_make_it: "Make it", "Crear";
    token_name_hint: "Night shift", "Turno de noche";
    new_token: "New token", "Nuevo token";
    new_token_how: "Whoever has it can do what its role allows. Keep it like a password.", "Quien lo tenga puede hacer lo que su rol permite. Guárdelo como una contraseña.";
    name: "Name", "Nombre";
    role: "Role", "Rol";
    role_viewer_may: "reads", "lee";
    role_operator_may: "also changes stations and tags, gives commands, writes the journal", "además cambia estaciones y tarjetas, da órdenes, escribe el diario";
    role_admin_may: "also sets credentials, makes and revokes tokens", "además establece credenciales, crea y revoca tokens";
    made: "Made", "Creado";
    revoke: "Revoke", "Revocar";
    your_own: "the one you use", "el que usa ahora";

    // Drills.
    drills_are: "Load on purpose, to see that the alerts fire and the service goes on. Bounded, one at a time, on this node alone.", "Carga provocada a propósito, para comprobar que saltan las alertas y que el servicio sigue. Limitada, una cada vez, solo en este nodo.";
    drills_off: "Drills are switched off on this server. To allow them:", "Los simulacros están desactivados en este servidor. Para permitirlos:";
    drill_running: "Now", "Ahora";
    drill_runs: "Runs", "En curso";
    drill_none: "No drill runs.", "No hay ningún simulacro en curso.";
    drill_ends: "Ends at the latest", "Termina a más tardar";
    drill_abort: "End it now", "Terminarlo ya";
    drill_start: "Start a drill", "Iniciar un simulacro";
    drill_start_it: "Start", "Iniciar";
    drill_cpu: "Processor, % of the limit", "Procesador, % del límite";
    drill_memory: "Memory, % of the limit", "Memoria, % del límite";
    drill_cpu_short: "Processor", "Procesador";
    drill_memory_short: "Memory", "Memoria";
    drill_core: "cores", "núcleos";
    drill_latency: "Delay of API requests, ms", "Retraso de las peticiones a la API, ms";
    drill_errors: "API requests refused, %", "Peticiones a la API rechazadas, %";
    drill_seconds: "Duration, s", "Duración, s";
    drill_means: "The service becomes slower for whoever uses it. Chargers are not touched.", "El servicio va más lento para quien lo usa. Los cargadores no se ven afectados.";
    drill_load: "Load", "Carga";
    drill_outcome: "Outcome", "Resultado";
    drill_cores: "Processor used", "Procesador usado";
    drill_held: "Memory held", "Memoria ocupada";
    drill_delayed: "Requests delayed", "Peticiones retrasadas";
    drill_failed: "Requests refused", "Peticiones rechazadas";
    drill_of: "{a} of {b}", "{a} de {b}";
    drills_before: "Before", "Anteriores";
    drills_never: "None since this node started.", "Ninguno desde que arrancó este nodo.";

    // About.
    about_is: "Enchufe runs this charging network.", "Enchufe opera esta red de carga.";
    health: "Health", "Salud";
    service: "Service", "Servicio";
    ready: "Ready", "Listo";
    not_ready: "Not ready", "No listo";
    database: "Database", "Base de datos";
    cache: "Cache", "Caché";
    answers: "Answers", "Responde";
    answers_not: "Does not answer", "No responde";
    degraded_cache: "Away: slower, not wrong", "No disponible: más lento, pero correcto";
    in_process: "in process", "en el proceso";
    analyser: "Journal’s reader", "Lector del diario";
    configured: "Set up", "Configurado";
    without_model: "rules of our own, no model", "reglas propias, sin modelo";
    version: "Version", "Versión";
    commit: "Commit", "Commit";
    node: "Node", "Nodo";
    starts: "Starts on this database", "Arranques con esta base de datos";
    chargers_here: "Chargers connected here", "Cargadores conectados aquí";
    look_further: "Look further", "Ver más";
    link_docs: "API documentation", "Documentación de la API";
    link_health: "Readiness", "Disponibilidad";
    link_metrics: "Metrics", "Métricas";
    link_metrics_needs: "needs the metrics token", "requiere el token de métricas";
    link_dashboards: "Dashboards", "Paneles";
    link_dashboards_set: "set", "defina";

    // Faults.
    fault_title: "That did not work", "No ha funcionado";
    fault_sign_in: "You are not signed in, or no longer. Sign in, and do it again.", "No ha iniciado sesión, o su sesión ha terminado. Entre y repítalo.";
    fault_forbidden: "This needs the role: {role}.", "Esto requiere el rol: {role}.";
    fault_forged: "This form did not come from this console, or you have signed in anew since. Go back, load the page again, and send it once more.", "Este formulario no viene de esta consola, o ha vuelto a entrar desde entonces. Vuelva atrás, recargue la página y envíelo de nuevo.";
    fault_not_found: "There is nothing here. It may have been removed.", "Aquí no hay nada. Puede que se haya eliminado.";
    fault_not_allowed: "This cannot be asked in this way.", "Esto no se puede pedir así.";
    fault_unreadable: "The form could not be read. It may be too large.", "No se pudo leer el formulario. Puede ser demasiado grande.";
    fault_too_many: "Too many pages are open with this token. Close some.", "Hay demasiadas páginas abiertas con este token. Cierre algunas.";
    fault_own_token: "This is the token you are signed in with. Revoke it with another admin’s.", "Este es el token con el que ha entrado. Revóquelo con el de otra persona de administración.";
    fault_invalid: "What was entered does not hold.", "Lo introducido no es válido.";
    fault_conflict: "The state of things forbids it.", "La situación actual lo impide.";
    conflict_under_way: "This is being done just now. See whether it was done before you repeat it.", "Se está haciendo ahora mismo. Compruebe si ya se hizo antes de repetirlo.";
    conflict_gone: "This form was sent before, and what it made has been removed since.", "Este formulario ya se envió, y lo que creó se ha eliminado después.";
    conflict_drill: "There is one drill at a time, and there is one now. Wait for its end, or end it.", "Solo puede haber un simulacro a la vez, y ya hay uno. Espere a que termine, o termínelo.";
    conflict_session: "This charging session is no longer running.", "Esta carga ya no está en curso.";
    fault_changed: "Somebody else has changed it meanwhile. Load it again, and repeat your change.", "Alguien lo ha modificado mientras tanto. Vuelva a cargarlo y repita su cambio.";
    fault_offline: "The charger is not connected. Give the command when it is.", "El cargador no está conectado. Dé la orden cuando lo esté.";
    fault_unreachable: "The charger is connected to another node, which cannot be reached now. Try again soon.", "El cargador está conectado a otro nodo, con el que ahora no hay comunicación. Vuelva a intentarlo en breve.";
    fault_forgotten: "This was kept once, and is no longer.", "Esto se guardó durante un tiempo, y ya no está.";
    fault_busy: "Too much is waiting. Try again soon.", "Hay demasiadas peticiones en espera. Vuelva a intentarlo en breve.";
    fault_unavailable: "The database does not answer. Try again soon.", "La base de datos no responde. Vuelva a intentarlo en breve.";
    fault_in_doubt: "The database went away in the middle: look whether it was done before you repeat it.", "La base de datos dejó de responder a mitad: compruebe si se hizo antes de repetirlo.";
    fault_internal: "The server failed. Its log has the reason.", "El servidor ha fallado. El motivo está en su registro.";
    fault_analysis: "There is no analysis: what reads the journal failed. The server’s log has the reason.", "No hay análisis: ha fallado el lector del diario. El motivo está en el registro del servidor.";
    fault_analysis_busy: "There is no analysis: too much is asked of what reads the journal. Try again later.", "No hay análisis: el lector del diario tiene demasiado trabajo. Inténtelo más tarde.";
    fault_analysis_late: "There is no analysis: what reads the journal did not answer in time. Try again later.", "No hay análisis: el lector del diario no respondió a tiempo. Inténtelo más tarde.";
    fault_disabled: "This server was told not to do this.", "Este servidor está configurado para no hacerlo.";
    wrong_missing: "fill it in", "hay que rellenarlo";
    wrong_characters: "one line, without control characters", "una línea, sin caracteres de control";
    wrong_too_long: "it is too long", "es demasiado largo";
    wrong_choice: "choose one of those offered", "elija uno de los ofrecidos";
    wrong_number: "give a number within the bounds", "dé un número dentro de los límites";
    wrong_entry_text: "1 to 256 characters", "de 1 a 256 caracteres";
    wrong_drill: "one of the four must be more than 0", "una de las cuatro debe ser mayor que 0";
    wrong_tag: "1 to 36 letters, digits and signs, without spaces, accents or slashes, and not dots alone", "de 1 a 36 letras, cifras y signos, sin espacios, acentos ni barras, y no solo puntos";
    wrong_station: "no station can have this id", "ninguna estación puede tener este id";
    wrong_entry_changed: "Somebody else has changed this entry meanwhile. It stands above as it is now, and below as you wrote it: save it again to put yours in its place.", "Alguien ha modificado esta nota mientras tanto. Arriba está como quedó; abajo, como usted la escribió: guárdela de nuevo para sustituirla.";
    wrong_entry_resent: "This form was sent before with something else in it. See whether that entry is there already, then send this one.", "Este formulario ya se envió con otro contenido. Mire si esa nota ya está, y envíe después esta.";
    wrong_no_station: "there is no station with this id", "no hay ninguna estación con este id";
    wrong_resent: "This form was sent before with something else in it. Load its page again, and fill it in anew.", "Este formulario ya se envió con otro contenido. Vuelva a cargar su página y rellénelo de nuevo.";
    availability: "Availability", "Disponibilidad";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phrase_says_the_same_in_both_languages() {
        let places = |text: &str| {
            let mut found: Vec<String> = Vec::new();
            for part in text.split('{').skip(1) {
                found.push(part.split('}').next().unwrap_or_default().to_owned());
            }
            found.sort();
            found
        };
        for (name, english, spanish) in TABLE {
            for text in [english, spanish] {
                assert!(!text.trim().is_empty(), "{name} says nothing");
                assert_eq!(text.trim(), *text, "{name} has space around it");
            }
            assert_eq!(places(english), places(spanish), "{name}");
            // A sentence in both, or in neither.
            let ends = |text: &str| text.ends_with(['.', '?', ':', '…']);
            assert_eq!(ends(english), ends(spanish), "{name}");
        }
    }

    #[test]
    fn what_reads_the_same_is_meant_to() {
        let same = TABLE
            .iter()
            .filter(|(_, english, spanish)| english == spanish);
        let names: Vec<&str> = same.map(|(name, ..)| *name).collect();
        assert_eq!(names, ["evse", "firmware", "commit"]);
    }

    #[test]
    fn the_browser_says_which_language_it_likes() {
        fn check(accept: &str, lang: Lang) {
            assert_eq!(Lang::liked(accept), lang, "{accept}");
        }
        check("", Lang::En);
        check("es", Lang::Es);
        check("es-ES,es;q=0.9,en;q=0.8", Lang::Es);
        check("en-GB,en;q=0.9,es;q=0.8", Lang::En);
        check("fr,de;q=0.9", Lang::En);
        check("fr, es;q=0.5, en;q=0.4", Lang::Es);
        check("en;q=0.2,ES-mx;q=0.7", Lang::Es);
        check("es;q=0", Lang::En);
    }
}
